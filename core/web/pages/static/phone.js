// On a phone: a large button that opens the camera, and one that records, under the photo and the speech. What they give goes into the
// components as a file that was chosen would.

{
  const words = element.querySelector('[data-language]').dataset;
  const TRIES_MS = 100, GIVE_UP_MS = 5000;
  const find = (id) => document.getElementById(id);
  const visible = (node) => node && node.offsetParent !== null;

  function when(found, then) {
    const until = performance.now() + GIVE_UP_MS;
    const look = setInterval(() => {
      const node = found();
      if (node || performance.now() > until) clearInterval(look);
      if (node) then(node);
    }, TRIES_MS);
  }

  function button(name, label, beside) {
    const made = document.createElement('button');
    made.type = 'button';
    made.className = `th-phone ${name}`;
    made.textContent = label;
    beside.after(made);
    return made;
  }

  function takePhoto(photo) {
    const camera = Object.assign(document.createElement('input'), { type: 'file', accept: 'image/*', hidden: true });
    camera.className = 'th-camera';
    camera.setAttribute('capture', 'user');
    camera.tabIndex = -1;
    const press = button('th-take', words.takePhoto, photo);
    press.after(camera);
    press.addEventListener('click', () => camera.click());
    camera.addEventListener('change', () => {
      if (!camera.files.length) return;
      const given = new DataTransfer();
      given.items.add(camera.files[0]);
      camera.value = '';
      if (photo.querySelector('.image-frame img')) photo.querySelector('.icon-button-wrapper button:last-child')?.click(); // the one before
      const input = () => photo.querySelector('input[type=file]');
      if (!input()) photo.querySelector('.source-selection button')?.click();
      when(input, (node) => {
        node.files = given.files;
        node.dispatchEvent(new Event('change', { bubbles: true }));
      });
    });
  }

  const stopButton = (speech) => [...speech.querySelectorAll('.stop-button, .stop-button-paused')].find(visible);
  const recordButton = (speech) => [...speech.querySelectorAll('.record-button')].find(visible);

  function record(speech) {
    const press = button('th-record', words.record, speech);
    press.addEventListener('click', () => {
      const running = stopButton(speech);
      if (running) {
        running.click();
        return;
      }
      if (speech.querySelector('#waveform')) speech.querySelector('.icon-button-wrapper button:last-child')?.click(); // the one before
      if (!recordButton(speech)) when(() => speech.querySelectorAll('.source-selection button')[1], (source) => source.click());
      when(() => recordButton(speech), (node) => node.click());
    });
    new MutationObserver(() => {
      const label = stopButton(speech) ? words.recordStop : words.record;
      if (press.textContent !== label) press.textContent = label;
    }).observe(speech, { childList: true, subtree: true, attributes: true, attributeFilter: ['class', 'style'] });
  }

  if (window.matchMedia('(pointer: coarse)').matches) {
    if (find('th-photo')) takePhoto(find('th-photo'));
    when(() => find('th-speech'), record);
  }
}
