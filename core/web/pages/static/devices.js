// Microphone and camera: what is wrong where they cannot be used, and what to do; and a recording that still runs ends before its video
// is made.

{
  const words = element.querySelector('[data-language]').dataset;
  const SAVED_MS = 15000; // how long a recording may take to be saved
  const CAMERAS = ['th-photo', 'th-stream-photo', 'th-chat-photo', 'th-live-photo', 'th-avatar-photo'];
  const LIVE = 'th-live-start'; // where no file will do
  const MICROPHONES = ['th-speech', 'th-stream-speech', LIVE];
  const STARTS = { 'th-generate': 'th-speech', 'th-stream-play': 'th-stream-speech' };

  const visible = (node) => node && node.offsetParent !== null;
  const place = (ids) => ids.map((id) => document.getElementById(id)).find(visible);

  function say(ids, sentence) {
    const beside = place(ids);
    if (!beside) return;
    let note = beside.nextElementSibling;
    if (!note?.classList.contains('th-device')) {
      if (!sentence) return;
      note = document.createElement('div');
      note.className = 'th-status th-error th-device';
      note.setAttribute('role', 'alert');
      beside.after(note);
    }
    if (sentence) note.textContent = sentence;
    else note.remove();
  }

  // A device that cannot be used, where its button is.
  function refuse(ids, sentence) {
    say(ids, place(ids)?.id === LIVE ? sentence : `${sentence} ${words.deviceOrFile}`);
  }

  const why = (error) => ({
    NotAllowedError: words.deviceDenied, SecurityError: words.deviceDenied, NotFoundError: words.deviceMissing,
    OverconstrainedError: words.deviceMissing, NotReadableError: words.deviceBusy,
  }[error.name] || words.deviceBusy);

  window.talkingHeadDevices = { say, insecure: words.deviceInsecure };
  const devices = navigator.mediaDevices;
  if (devices?.getUserMedia) {
    const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      const ids = wanted?.video ? CAMERAS : MICROPHONES;
      try {
        const stream = await ask(wanted);
        say(ids, '');
        return stream;
      } catch (error) {
        refuse(ids, why(error));
        throw error;
      }
    };
  } else { // browsers hide both from pages that come over http
    document.addEventListener('click', (event) => {
      const button = event.target.closest?.('.source-selection button');
      const of = button?.closest([...CAMERAS, ...MICROPHONES].map((id) => `#${id}`).join());
      if (!of || !/Capture from camera|Record audio|Kamera|Mikro|aufnehmen/i.test(button.getAttribute('aria-label') || '')) return;
      refuse([of.id], words.deviceInsecure);
    }, true);
  }

  document.addEventListener('click', (event) => {
    const start = event.target.closest?.(Object.keys(STARTS).map((id) => `#${id}`).join());
    const speech = start && document.getElementById(STARTS[start.id]);
    const stop = speech && [...speech.querySelectorAll('.stop-button, .stop-button-paused')].find(visible);
    if (!stop) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    stop.click();
    const until = performance.now() + SAVED_MS;
    const saved = setInterval(() => {
      if (performance.now() > until) clearInterval(saved);
      if (!speech.querySelector('#waveform') || visible(stop)) return;
      clearInterval(saved);
      setTimeout(() => start.click(), 300); // the component tells the server of its value first
    }, 100);
  }, true);
}
