// On a phone: a large button that opens the camera, and one that records (sharing_html.camera_html). What they give goes into the component
// that `data-for` names, as a file that was chosen would.

{
  const TRIES_MS = 100, GIVE_UP_MS = 5000;
  const visible = (node) => node && node.offsetParent !== null;
  const of = (button) => document.getElementById(button.dataset.for);

  function when(found, then) {
    const until = performance.now() + GIVE_UP_MS;
    const look = setInterval(() => {
      const node = found();
      if (node || performance.now() > until) clearInterval(look);
      if (node) then(node);
    }, TRIES_MS);
  }

  // What was there before makes way.
  const clear = (place) => [...place.querySelectorAll('.icon-button-wrapper button')].at(-1)?.click();

  function takePhoto(photo) {
    const camera = Object.assign(document.createElement('input'), { type: 'file', accept: 'image/*' });
    camera.setAttribute('capture', 'user');
    camera.addEventListener('change', () => {
      if (!camera.files.length) return;
      if (photo.querySelector('.image-frame img')) clear(photo);
      when(() => photo.querySelector('input[type=file]'), (input) => {
        input.files = camera.files;
        input.dispatchEvent(new Event('change', { bubbles: true }));
      });
    });
    camera.click();
  }

  const stopButton = (speech) => [...speech.querySelectorAll('.stop-button, .stop-button-paused')].find(visible);
  const recordButton = (speech) => [...speech.querySelectorAll('.record-button')].find(visible);

  function record(speech) {
    const running = stopButton(speech);
    if (running) {
      running.click();
      return;
    }
    if (speech.querySelector('#waveform')) clear(speech);
    if (!recordButton(speech)) when(() => speech.querySelectorAll('.source-selection button')[1], (source) => source.click());
    when(() => recordButton(speech), (button) => button.click());
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('.th-phone');
    if (button) (button.classList.contains('th-take') ? takePhoto : record)(of(button));
  });
  new MutationObserver(() => {
    for (const button of document.querySelectorAll('.th-record')) {
      const { record: begin, stop } = button.dataset;
      const label = of(button) && stopButton(of(button)) ? stop : begin;
      if (button.textContent !== label) button.textContent = label;
    }
  }).observe(document.querySelector('.gradio-container'), { childList: true, subtree: true, attributes: true, attributeFilter: ['class'] });
}
