// The Live tab: the microphone moves the face (face.js) until it is stopped, over WebRTC (peers.js) where that connects, else over the
// WebSocket alone. Gradio runs this once when the component appears, with `element`.

const TOLD_MS = 1000;      // how often the delay is shown
const MOST_DELAY_S = 2.5;  // a face that is further behind leaves out what it has not said
const LATE_FACE_S = 0.9;   // one further behind than this leaves out pauses: slices below QUIET after PAUSE_S of them
const QUIET = 0.02, PAUSE_S = 0.2;
const BLOCKED = 'th-live-no-webrtc'; // remembered while the tab is open: it would be tried in vain each time

const panel = element.querySelector('.th-live');
const words = JSON.parse(panel.dataset.words);
const part = (name) => panel.querySelector(`.th-live-${name}`);
const button = (name) => panel.querySelector(`[data-do=${name}]`);
const video = panel.querySelector('video'), size = panel.querySelector('select');
const say = (sentence) => { part('note').textContent = sentence; };
const setup = (name) => document.getElementById(`th-live-${name}`);

let over_peers = 'peers' in panel.dataset && 'RTCPeerConnection' in window && !sessionStorage.getItem(BLOCKED);
let settings = null, microphone = null, face = null, delay = new Delay();
let muted = false, opening = false, quiet_s = 0, behind_s = null, pings = 0, pinged = new Map(), network_ms = null, telling = 0, waits_s = 0;

const bar = new PlayerBar(panel.querySelector('.th-player'), () => video, {
  volume: (level) => {
    video.volume = level;
    video.muted = level === 0;
    button('sound').setAttribute('aria-pressed', String(level > 0));
    part('sound').hidden = level === 0;
  },
});

const wrong = (sentence) => window.talkingHeadDevices.say(['th-live-start'], sentence);

// ---- what the browser needs

function missing() {
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return window.talkingHeadDevices.insecure;
  return Source || over_peers ? '' : words.needs_video;
}

// Before the server prepares anything: "yes" where there is a microphone.
async function ask() {
  wrong(missing());
  if (missing() || opening) return '';
  opening = true;
  try {
    microphone?.stop();
    microphone = await Capture.open(panel.dataset.worklet, { sound, gone: () => end(words.microphone_lost) });
  } catch (error) { // the page says so itself where it is the browser that has none (devices.js)
    if (error instanceof DOMException === false) wrong(String(error.message));
    microphone = null;
  }
  opening = false;
  return microphone ? 'yes' : '';
}

// ---- while it runs

function sound(bytes, seconds, level) {
  part('level').value = level;
  if (over_peers) return; // the microphone has a connection of its own
  quiet_s = level < QUIET ? quiet_s + seconds : 0;
  if (quiet_s > PAUSE_S && behind_s > LATE_FACE_S) return;
  if (face?.sound(bytes)) delay.sound(seconds);
}

function connect() {
  delay = new Delay();
  behind_s = null;
  pinged.clear();
  face = new Face(video, { avatar: settings.avatar, lang: words.page }, {
    ready,
    failed: (sentence) => end(sentence || words.failed),
    lost: () => say(words.lost),
    moved: () => end(words.elsewhere),
    blocked: () => bar.set(bar.level, true),
    warned: (sentences) => { part('warned').textContent = sentences.join(' '); },
    piece: ({ speaks, at_s, duration_s }) => speaks && delay.piece(at_s, duration_s),
    event,
    player: over_peers ? by_peers : undefined,
  }, { rate: microphone.rate, format: over_peers ? 'webrtc' : 'fmp4', background: settings.background, options: { ...settings.options, size: Number(size.value) } }, words.notices);
}

const began = () => say(muted ? words.muted : words.ready);

// Also of a session that is had again after its WebSocket was lost.
function ready() {
  if (!over_peers) began();
  else if (face.player.over) by_socket(true); // WebRTC went meanwhile
  else if (face.player.spoken) began();
}

function by_peers(ready) {
  const [track] = microphone.microphone.stream.getAudioTracks();
  const blocked = () => bar.set(bar.level, true);
  return new PeerPlayer(video, ready.session, words.page, track, { began, failed: by_socket, blocked });
}

// WebRTC does not get through, or no more: the WebSocket does. Where that is lost, too, the session will be had again, or another one.
function by_socket(open) {
  if (!face?.open || !over_peers) return;
  over_peers = false;
  if (!open) sessionStorage.setItem(BLOCKED, '1');
  part('way').textContent = words.by_websocket;
  face.end();
  if (Source) connect();
  else end(words.needs_video);
}

function event(told) {
  if (told.type === 'interrupted') delay.cut();
  else if (told.type === 'stats') {
    delay.count(told);
    waits_s = told.buffered_s;
  }
  else if (told.type === 'pong' && pinged.has(told.id)) {
    network_ms = performance.now() - pinged.get(told.id);
    pinged.delete(told.id);
  } else if (told.type === 'speaking' && !muted) say(words.speaking);
  else if (told.type === 'idle') say(muted ? words.muted : words.listening);
  else if (told.type === 'error') say([told.error.message, told.error.hint].filter(Boolean).join(' '));
}

// Of a face over WebRTC: what waits at the server, what the engine hears ahead, the network, and what the browser keeps back.
async function behind_by_peers() {
  const { player, session } = face;
  if (!player.spoken || !waits_s) return null;
  return waits_s + session.look_ahead_s + 1 / FPS + (network_ms ?? 0) / 1000 + await player.kept_s();
}

async function tell() {
  pings += 1;
  if (face.tell({ type: 'ping', id: pings })) pinged.set(pings, performance.now());
  behind_s = over_peers && face.player ? await behind_by_peers() : delay.at(video.currentTime);
  if (behind_s === null || !face) return;
  panel.dataset.delayMs = Math.round(behind_s * 1000);
  const told = [filled(words.delay, { s: window.talkingHeadFixed(behind_s, 2) })];
  if (network_ms !== null) told.push(filled(words.network, { ms: Math.round(network_ms) }));
  part('delay').textContent = told.join(' · ');
  if (behind_s > MOST_DELAY_S) interrupt();
}

function interrupt() {
  if (face?.tell({ type: 'interrupt' })) delay.interrupt();
}

function mute(off) {
  muted = off;
  microphone.muted = off;
  if (off) {
    face.tell({ type: 'end' });
    part('level').value = 0;
  }
  button('mute').setAttribute('aria-pressed', String(off));
  say(off ? words.muted : words.ready);
}

// ---- start and stop

function start(chosen) {
  if (!chosen || !microphone) {
    microphone?.stop();
    microphone = null;
    return;
  }
  settings = JSON.parse(chosen);
  size.value = String(settings.options.size);
  muted = false;
  network_ms = null;
  waits_s = 0;
  button('mute').setAttribute('aria-pressed', 'false');
  part('delay').textContent = '';
  delete panel.dataset.delayMs;
  document.getElementById('th-live').classList.add('th-running-live');
  say(words.preparing);
  connect();
  clearInterval(telling);
  telling = setInterval(tell, TOLD_MS);
  button('stop').focus();
}

function end(why) {
  clearInterval(telling);
  microphone?.stop();
  microphone = null;
  face?.end();
  face = null;
  part('level').value = 0;
  document.getElementById('th-live').classList.remove('th-running-live');
  wrong(why === words.stopped ? '' : why);
  say('');
  setup('start')?.focus();
}

const DOES = {
  stop: () => end(words.stopped),
  mute: () => mute(!muted),
  interrupt,
  sound: () => bar.set(bar.level || 1, bar.heard > 0),
};
panel.addEventListener('click', ({ target }) => face && DOES[target.closest('[data-do]')?.dataset.do]?.());
size.addEventListener('change', () => {
  if (!face) return;
  face.end();
  say(words.preparing);
  connect();
});
window.addEventListener('pagehide', () => face && end(words.stopped));

bar.set(1, true); // the own voice, later, is not what one wants to hear
new IntersectionObserver((seen, observer) => { // what is missing is said when somebody looks
  if (!seen.some((each) => each.isIntersecting)) return;
  observer.disconnect();
  wrong(missing());
}).observe(element);
window.talkingHeadLive = { ask, start };
