// Where no face is found: a dialog with the photo and six points on it, which are moved by mouse, touch and keyboard.

{
  const STEP = 0.002, NEAR_PX = 40, LEFT_EYE = 0, RIGHT_EYE = 1, LIPS = 4;
  const USUAL = [[0.3, 0.38], [0.7, 0.38], [0.36, 0.72], [0.64, 0.72], [0.5, 0.73], [0.5, 0.93]]; // in the box of a face
  const opener = () => element.querySelector('.th-hand');
  const share = (value) => Math.min(Math.max(value, 0), 1);
  const written = (points) => points.map((point) => point.map((each) => each.toFixed(4)).join()).join(' ');
  const read = (text) => text.trim().split(/\s+/).map((point) => point.split(',').map(Number));

  function usual(place, { naturalWidth: width, naturalHeight: height }) { // around the face that was found, or in the middle
    const side = 0.8 * Math.min(width, height);
    const [x, y, w, h] = place || [0.5 - side / 2 / width, 0.5 - side / 2 / height, side / width, side / height];
    return USUAL.map(([across, down]) => [share(x + across * w), share(y + down * h)]);
  }

  function made(words) {
    const dialog = document.createElement('dialog');
    dialog.className = 'th-part-dialog th-hand-dialog';
    dialog.innerHTML = `<h2></h2><p class="th-quiet"></p><div class="th-part-stage"><img alt=""><svg aria-hidden="true"><polyline/><polyline/></svg></div>
      <p class="th-quiet" role="status"></p>
      <div class="th-part-buttons"><button type="button"></button><button type="button"></button><button type="button"></button></div>`;
    dialog.querySelector('h2').textContent = words.title;
    dialog.querySelector('h2').id = `${PHOTO}-hand`;
    dialog.setAttribute('aria-labelledby', `${PHOTO}-hand`);
    dialog.querySelector('.th-quiet').textContent = words.hint;
    dialog.querySelectorAll('.th-part-buttons button').forEach((button, n) => { button.textContent = [words.remove, words.cancel, words.use][n]; });
    return dialog;
  }

  function open() {
    const photo = photoOf();
    if (!photo?.naturalWidth) return;
    const { words, landmarks, place } = JSON.parse(opener().dataset.hand);
    const dialog = made(words), stage = dialog.querySelector('.th-part-stage'), image = stage.querySelector('img');
    const said = dialog.querySelector('[role=status]'), [mouth, middle] = dialog.querySelectorAll('polyline');
    const points = landmarks ? read(landmarks) : usual(place, photo);
    const handles = words.points.map((name, n) => {
      const handle = document.createElement('button');
      handle.type = 'button';
      handle.className = 'th-hand-point';
      handle.dataset.point = n;
      handle.innerHTML = '<span></span>';
      handle.firstChild.textContent = name;
      handle.addEventListener('focus', () => choose(n));
      stage.append(handle);
      return handle;
    });
    let chosen = 0, dragged = null;

    function show() {
      points.forEach(([x, y], n) => {
        Object.assign(handles[n].style, { left: `${100 * x}%`, top: `${100 * y}%` });
        handles[n].setAttribute('aria-label', placeOf(n));
      });
      const line = (...of) => of.map((point) => point.map((each) => 100 * each).join()).join(' ');
      const eyes = points[LEFT_EYE].map((each, axis) => (each + points[RIGHT_EYE][axis]) / 2);
      mouth.setAttribute('points', line(points[2], points[LIPS], points[3]));
      middle.setAttribute('points', line(eyes, points[LIPS], points[5]));
      said.textContent = placeOf(chosen);
    }

    const placeOf = (n) => words.place.replace('{name}', words.points[n])
      .replace('{x}', window.talkingHeadFixed(100 * points[n][0], 1)).replace('{y}', window.talkingHeadFixed(100 * points[n][1], 1));

    function choose(n) {
      chosen = n;
      handles.forEach((handle, each) => handle.classList.toggle('th-chosen', each === n));
      show();
    }

    function nearest(event) { // the point under the pointer, or else the one that was chosen
      const box = image.getBoundingClientRect();
      const far = points.map(([x, y]) => Math.hypot(box.left + x * box.width - event.clientX, box.top + y * box.height - event.clientY));
      const n = far.indexOf(Math.min(...far));
      return far[n] <= NEAR_PX ? n : chosen;
    }

    function move(dx, dy) {
      points[chosen] = [share(points[chosen][0] + dx), share(points[chosen][1] + dy)];
      show();
    }

    stage.addEventListener('pointerdown', (event) => {
      if (dragged) return; // a second finger
      dragged = { id: event.pointerId, x: event.clientX, y: event.clientY };
      stage.setPointerCapture(event.pointerId);
      handles[nearest(event)].focus();
      event.preventDefault();
    });
    stage.addEventListener('pointermove', (event) => {
      if (event.pointerId !== dragged?.id) return;
      const box = image.getBoundingClientRect();
      move((event.clientX - dragged.x) / box.width, (event.clientY - dragged.y) / box.height);
      Object.assign(dragged, { x: event.clientX, y: event.clientY });
    });
    for (const end of ['pointerup', 'pointercancel']) stage.addEventListener(end, () => { dragged = null; });
    stage.addEventListener('keydown', (event) => {
      const far = STEP * (event.shiftKey ? 5 : 1);
      const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
      if (!moves) return;
      move(...moves);
      event.preventDefault();
    });
    const [remove, cancel, use] = dialog.querySelectorAll('.th-part-buttons button');
    remove.hidden = !landmarks;
    remove.addEventListener('click', () => { trigger('submit', { landmarks: '' }); dialog.close(); });
    cancel.addEventListener('click', () => dialog.close());
    use.addEventListener('click', () => { trigger('submit', { landmarks: written(points) }); dialog.close(); });
    dialog.addEventListener('close', () => { dialog.remove(); opener()?.focus(); });
    use.className = 'th-part-use';
    image.draggable = false;
    image.src = photo.src;
    stage.querySelector('svg').setAttribute('viewBox', '0 0 100 100');
    stage.querySelector('svg').setAttribute('preserveAspectRatio', 'none');
    window.talkingHeadPart.show(dialog);
    handles[0].focus();
  }

  element.addEventListener('click', (event) => { if (event.target.closest('.th-hand')) open(); });
}
