// What runs is always in view: in the title, and at the bottom of the page where its own place is not seen. Keeps the focus where it was
// when a button that was pressed rests, and tells of the end of a job, where the visitor wants that.

{
  const LONG_MS = 10000; // a job that took less was waited for
  const words = element.querySelector('[data-language]').dataset;
  const asked = { title: document.title, began: 0, pressed: null };
  const find = (id) => document.getElementById(id);
  const shown = (node) => node !== null && node.offsetParent !== null;

  const below = document.createElement('button');
  below.type = 'button';
  below.className = 'th-running';
  below.hidden = true;
  below.append(document.createElement('i'), document.createElement('span'));
  below.addEventListener('click', () => {
    document.querySelector('[role=tab]')?.click();
    find('th-status')?.scrollIntoView({ block: 'center' });
  });
  document.querySelector('.gradio-container').append(below);

  const inView = (node) => {
    if (!shown(node)) return false;
    const { top, bottom } = node.getBoundingClientRect();
    return top >= 0 && bottom <= window.innerHeight;
  };

  function place() {
    const status = find('th-status');
    const bar = status?.querySelector('[role=progressbar]');
    below.hidden = !bar || inView(bar.parentElement);
    find('th-go')?.classList.toggle('th-raised', !below.hidden);
    if (below.hidden) below.lastChild.textContent = '';
    if (below.hidden) return;
    const line = [...bar.parentElement.querySelectorAll('.th-row > *')].map((each) => each.textContent).filter(Boolean).join(' · ');
    if (below.lastChild.textContent !== line) below.lastChild.textContent = line;
    below.style.setProperty('--th-share', `${bar.getAttribute('aria-valuenow') || 0}%`);
  }

  // The button that was pressed cannot have the focus while it rests: its neighbour gets it, and gives it back.
  function keepFocus() {
    if (!asked.pressed || (document.activeElement !== document.body && document.activeElement !== find('th-cancel'))) return;
    const wanted = [asked.pressed, find('th-cancel')].find((each) => shown(each) && !each.disabled);
    if (wanted && wanted !== document.activeElement) wanted.focus({ preventScroll: true });
  }

  function changed() {
    const status = find('th-status');
    if (!status) return;
    const bar = status.querySelector('[role=progressbar]');
    if (bar && !asked.began) asked.began = performance.now();
    const percent = bar?.getAttribute('aria-valuenow');
    document.title = bar ? `${percent ? `${percent} %` : '…'} – ${asked.title}` : asked.title;
    for (const each of document.querySelectorAll('.th-notify')) each.hidden = !bar && !each.querySelector('input').checked;
    if (!bar && asked.began) ended(status, performance.now() - asked.began);
    place();
    keepFocus();
  }

  function ended(status, tookMs) {
    asked.began = 0;
    const done = status.querySelector('.th-result') !== null;
    if (!done && !status.querySelector('.th-error')) return;
    if (asked.pressed && shown(status)) {
      const video = find('th-video');
      if (done && video && !inView(video)) find('th-result').scrollIntoView({ behavior: 'smooth', block: 'start' });
    }
    if (tookMs > LONG_MS && wantsToKnow()) tell(done ? words.done : words.failed);
  }

  // ---- told at the end, where that was asked for

  const KEY = 'talking-head-notify';
  const wantsToKnow = () => localStorage.getItem(KEY) === 'yes';
  let sounds = null;

  function tell(sentence) {
    if (sounds) {
      for (const [n, hz] of [660, 880].entries()) {
        const tone = sounds.createOscillator(), volume = sounds.createGain(), at = sounds.currentTime + n * 0.18;
        tone.frequency.value = hz;
        volume.gain.setValueAtTime(0.15, at);
        volume.gain.exponentialRampToValueAtTime(0.001, at + 0.35);
        tone.connect(volume).connect(sounds.destination);
        tone.start(at);
        tone.stop(at + 0.35);
      }
    }
    if (window.Notification?.permission === 'granted') {
      const note = new Notification(asked.title, { body: sentence, tag: KEY });
      note.onclick = () => { window.focus(); note.close(); };
    }
  }

  document.addEventListener('change', (event) => {
    if (!event.target.closest?.('.th-notify')) return;
    localStorage.setItem(KEY, event.target.checked ? 'yes' : 'no');
    if (!event.target.checked) return;
    window.Notification?.requestPermission?.();
    sounds = sounds || (window.AudioContext ? new AudioContext() : null);
  });

  // ----

  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('#th-generate');
    if (!button) return;
    asked.pressed = button;
    if (wantsToKnow()) sounds = sounds || (window.AudioContext ? new AudioContext() : null); // browsers want a click before a sound
  }, true);
  document.addEventListener('focusin', (event) => {
    if (asked.pressed && event.target !== asked.pressed && event.target !== find('th-cancel')) asked.pressed = null;
  });
  for (const event of ['scroll', 'resize', 'click']) window.addEventListener(event, () => requestAnimationFrame(place), { passive: true });
  new MutationObserver(() => requestAnimationFrame(changed)).observe(document.querySelector('.gradio-container'), {
    childList: true, subtree: true, attributes: true, attributeFilter: ['aria-valuenow', 'disabled'],
  });
  for (const each of document.querySelectorAll('.th-notify input')) each.checked = wantsToKnow();
  changed();
}
