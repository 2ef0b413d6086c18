// Several faces of a photo are framed on the photo itself; a click on one chooses it, as its card does, which the keyboard reaches.

const photoOf = () => document.querySelector(`#${PHOTO} .image-frame img`) || document.querySelector(`#${PHOTO} img`);

function shownBox(image) { // of the picture within its element, which it need not fill; relative to the component
  const { left, top, width, height } = image.getBoundingClientRect();
  const around = document.getElementById(PHOTO).getBoundingClientRect();
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
  const w = image.naturalWidth * scale, h = image.naturalHeight * scale;
  return { x: left - around.left + (width - w) / 2, y: top - around.top + (height - h) / 2, w, h };
}

{
  let seen = null;
  const resized = new ResizeObserver(() => place());

  function place() {
    const image = photoOf(), component = document.getElementById(PHOTO);
    component?.querySelector(':scope > .th-places')?.remove();
    const data = element.querySelector('[data-places]')?.dataset.places;
    const places = data ? JSON.parse(data) : [];
    if (image !== seen) {
      resized.disconnect();
      if (image) resized.observe(image);
      image?.addEventListener('load', place);
      seen = image;
    }
    if (!image?.naturalWidth || places.length < 2) return;
    const layer = document.createElement('div'), shown = shownBox(image);
    layer.className = 'th-places';
    layer.setAttribute('aria-hidden', 'true');
    places.forEach(([x, y, width, height], number) => {
      const card = element.querySelector(`[data-key="${number}"]`), button = document.createElement('button');
      button.type = 'button';
      button.tabIndex = -1;
      button.dataset.face = number;
      button.classList.toggle('th-chosen', card?.getAttribute('aria-pressed') === 'true');
      Object.assign(button.style, { left: `${shown.x + x * shown.w}px`, top: `${shown.y + y * shown.h}px`,
        width: `${width * shown.w}px`, height: `${height * shown.h}px` });
      button.addEventListener('click', () => element.querySelector(`[data-key="${number}"]`)?.click());
      layer.append(button);
    });
    component.append(layer);
  }

  new MutationObserver(place).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ['aria-pressed'] });
  const photo = document.getElementById(PHOTO);
  if (photo) {
    new MutationObserver((changes) => {
      if (photoOf() !== seen || changes.some((each) => each.attributeName === 'src')) place();
    }).observe(photo, { childList: true, subtree: true, attributes: true, attributeFilter: ['src'] });
  }
  place();
}
