// The part of the photo that the video shows: a dialog with the photo and a frame over it that is dragged and zoomed by mouse, touch and
// keyboard; the face stays in it. The card of the face shows what was chosen.

window.talkingHeadPart ||= {
  chosen: '1:1', redraw: new Set(),
  aspect(value) {
    this.chosen = value || '1:1';
    for (const each of this.redraw) each();
  },
  show(dialog) { // within what Gradio calls the content: there alone do rules for narrow windows reach it (style.py)
    document.querySelector('.gradio-container .contain').append(dialog);
    dialog.showModal();
  },
};

{
  const PICTURE_PX = 320, STEP = 0.01, ZOOM = 1.05;
  const NAMED = { '1:1': 1, '9:16': 9 / 16, '16:9': 16 / 9, '4:5': 4 / 5 };
  const opener = () => element.querySelector('.th-part');
  const within = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
  const asShares = (part, { naturalWidth: width, naturalHeight: height }) =>
    [part.x / width, part.y / height, part.w / width, part.h / height].map((each) => each.toFixed(5)).join();
  const inPixels = ([x, y, w, h], { naturalWidth: width, naturalHeight: height }) => ({ x: x * width, y: y * height, w: w * width, h: h * height });
  const known = () => JSON.parse(opener().dataset.part);
  const faceNumber = () => Number(element.querySelector('[data-key][aria-pressed="true"]')?.dataset.key || 0);
  const aspect = () => (PHOTO === 'th-photo' ? window.talkingHeadPart.chosen : '1:1'); // the one tab with a choice of it
  let crop = '', of = null;

  // ---- the part itself, in pixels of the photo

  function fitted(part, image, kept) { // of the right proportions, within the photo and around the face
    const W = image.naturalWidth, H = image.naturalHeight, ratio = NAMED[aspect()] || W / H;
    const most = Math.min(W, H * ratio);
    const w = within(Math.sqrt(part.w * part.h * ratio), Math.min(Math.max(kept.w, kept.h * ratio), most), most), h = w / ratio;
    const x = within(part.x + (part.w - w) / 2, Math.max(0, kept.x + kept.w - w), Math.min(kept.x, W - w));
    const y = within(part.y + (part.h - h) / 2, Math.max(0, kept.y + kept.h - h), Math.min(kept.y, H - h));
    return { x: within(x, 0, W - w), y: within(y, 0, H - h), w, h };
  }

  const zoomed = (part, by) => ({ x: part.x + (part.w * (1 - by)) / 2, y: part.y + (part.h * (1 - by)) / 2, w: part.w * by, h: part.h * by });

  function start(image, face) {
    const shares = crop ? crop.split(',').map(Number) : face.parts[aspect()];
    return fitted(inPixels(shares, image), image, inPixels(face.kept, image));
  }

  function drawCard() { // what the video will show
    const image = photoOf(), card = opener() && element.querySelector(`[data-key="${faceNumber()}"] img`);
    if (!card || !image?.naturalWidth) return;
    card.dataset.own ||= card.src;
    card.classList.toggle('th-whole', Boolean(crop) || aspect() !== '1:1');
    if (!crop && aspect() === '1:1') {
      card.src = card.dataset.own;
      return;
    }
    const part = start(image, known().faces[faceNumber()]), scale = PICTURE_PX / Math.max(part.w, part.h);
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(part.w * scale);
    canvas.height = Math.round(part.h * scale);
    canvas.getContext('2d').drawImage(image, part.x, part.y, part.w, part.h, 0, 0, canvas.width, canvas.height);
    card.src = canvas.toDataURL('image/jpeg', 0.9);
  }

  function choose(shares) {
    crop = shares;
    trigger('submit', { crop });
    drawCard();
  }

  // ---- the dialog

  function made(words) {
    const dialog = document.createElement('dialog');
    dialog.className = 'th-part-dialog';
    dialog.innerHTML = `<h2></h2><div class="th-part-stage"><img alt=""><button type="button" class="th-part-frame"></button></div>
      <label><span></span><input type="range" min="0" max="100" step="1"></label><p class="th-quiet"></p><p class="th-quiet" role="status"></p>
      <div class="th-part-buttons"><button type="button"></button><button type="button"></button><button type="button"></button></div>`;
    const [title, name, hint] = ['h2', 'label span', '.th-quiet'].map((each) => dialog.querySelector(each));
    title.textContent = words.title;
    name.textContent = words.zoom;
    hint.textContent = words.hint;
    title.id = `${PHOTO}-part`;
    dialog.setAttribute('aria-labelledby', title.id);
    dialog.querySelector('.th-part-frame').setAttribute('aria-label', words.frame);
    dialog.querySelectorAll('.th-part-buttons button').forEach((button, n) => { button.textContent = [words.reset, words.cancel, words.use][n]; });
    return dialog;
  }

  function open() {
    const photo = photoOf();
    if (!photo?.naturalWidth) return;
    const { faces, words } = known(), face = faces[faceNumber()];
    const dialog = made(words), image = dialog.querySelector('img'), frame = dialog.querySelector('.th-part-frame');
    const zoom = dialog.querySelector('input'), size = dialog.querySelector('[role=status]'), stage = dialog.querySelector('.th-part-stage');
    const kept = inPixels(face.kept, photo), touches = new Map();
    let part = start(photo, face);
    const least = fitted(zoomed(part, 1e-4), photo, kept).w, most = fitted(zoomed(part, 1e4), photo, kept).w;
    const scale = () => image.getBoundingClientRect().width / photo.naturalWidth;

    function show(next, told = true) {
      part = fitted(next, photo, kept);
      const percent = (value, of) => `${(100 * value) / of}%`;
      Object.assign(frame.style, { left: percent(part.x, photo.naturalWidth), top: percent(part.y, photo.naturalHeight),
        width: percent(part.w, photo.naturalWidth), height: percent(part.h, photo.naturalHeight) });
      if (told) zoom.value = most > least ? (100 * Math.log(most / part.w)) / Math.log(most / least) : 0;
      size.textContent = words.size.replace('{width}', Math.round(part.w)).replace('{height}', Math.round(part.h));
    }

    zoom.disabled = most <= least;
    zoom.addEventListener('input', () => show(zoomed(part, (most * (least / most) ** (zoom.value / 100)) / part.w), false));
    stage.addEventListener('wheel', (event) => {
      event.preventDefault();
      show(zoomed(part, event.deltaY > 0 ? ZOOM : 1 / ZOOM));
    }, { passive: false });
    frame.addEventListener('keydown', (event) => {
      const far = STEP * (event.shiftKey ? 5 : 1) * Math.min(photo.naturalWidth, photo.naturalHeight);
      const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
      if (moves) show({ ...part, x: part.x + moves[0], y: part.y + moves[1] });
      else if (event.key === '+' || event.key === '=') show(zoomed(part, 1 / ZOOM));
      else if (event.key === '-') show(zoomed(part, ZOOM));
      else return;
      event.preventDefault();
    });
    const apart = () => { const [a, b] = [...touches.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
    stage.addEventListener('pointerdown', (event) => {
      touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
      stage.setPointerCapture(event.pointerId);
      frame.focus();
    });
    stage.addEventListener('pointermove', (event) => {
      const before = touches.get(event.pointerId);
      if (!before) return;
      const was = touches.size === 2 ? apart() : 0;
      touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (was) show(zoomed(part, was / Math.max(apart(), 1)));
      else show({ ...part, x: part.x + (event.clientX - before.x) / scale(), y: part.y + (event.clientY - before.y) / scale() });
    });
    for (const end of ['pointerup', 'pointercancel']) stage.addEventListener(end, (event) => touches.delete(event.pointerId));
    const [reset, cancel, use] = dialog.querySelectorAll('.th-part-buttons button');
    reset.addEventListener('click', () => { choose(''); dialog.close(); });
    cancel.addEventListener('click', () => dialog.close());
    use.addEventListener('click', () => { choose(asShares(part, photo)); dialog.close(); });
    dialog.addEventListener('close', () => { dialog.remove(); opener()?.focus(); });
    use.className = 'th-part-use';
    image.draggable = false;
    image.src = photo.src;
    window.talkingHeadPart.show(dialog);
    show(part);
    frame.focus();
  }

  element.addEventListener('click', (event) => {
    if (event.target.closest('.th-part')) open();
    else if (event.target.closest('[data-key]')) { crop = ''; drawCard(); }
  });
  window.talkingHeadPart.redraw.add(drawCard);
  new MutationObserver(() => {
    if (!opener() || opener() === of) return;
    of = opener();
    crop = known().crop;
    drawCard();
    photoOf()?.addEventListener('load', drawCard, { once: true });
  }).observe(element, { childList: true, subtree: true });
}
