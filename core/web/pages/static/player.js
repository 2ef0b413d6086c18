// Plays videos while they are made: fragmented MP4 from an address, through Media Source Extensions, gaplessly.
// Two video elements lie on each other; the next clip is buffered in the one behind and takes over in FADE_MS when the
// one before it ends. The buttons beneath are player_bar.js. Gradio runs this once when the component appears, with `element` and `trigger`.

const FADE_MS = 300;
const AHEAD_S = 30;    // so much is buffered; beyond it the download, and with it the work, waits
const BEHIND_S = 30;   // and so much of what was played is kept

const stage = element.querySelector('.th-stage');
const note = stage.querySelector('.th-stage-note');
const videos = [...stage.querySelectorAll('video')];
let front = 0;
let clips = [];
let pressedAt = 0;   // when the visitor pressed Play; 0 after Stop
let fading = false;

const bar = new PlayerBar(stage.querySelector('.th-player'), () => videos[front], {
  volume: (level) => {
    for (const video of videos) video.muted = level === 0;
    if (!fading) videos[front].volume = level;
  },
  paused: (paused) => {
    const video = videos[front];
    if (!video.getAttribute('src')) return;
    if (paused) video.pause();
    else video.play().catch(() => {});
  },
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ended = (video) => video.ended || !video.getAttribute('src');
const leftMs = (video) => (Number.isFinite(video.duration) ? (video.duration - video.currentTime) * 1000 : Infinity);

function ahead(video) {
  for (let n = 0; n < video.buffered.length; n++) {
    if (video.buffered.start(n) <= video.currentTime + 0.1) {
      const left = video.buffered.end(n) - video.currentTime;
      if (left >= 0) return left;
    }
  }
  return 0;
}

const settled = (buffer) => new Promise((resolve, reject) => {
  buffer.addEventListener('updateend', resolve, { once: true });
  buffer.addEventListener('error', () => reject(new Error('the video cannot be decoded')), { once: true });
});

async function append(buffer, data) {
  const done = settled(buffer);
  buffer.appendBuffer(data);
  await done;
}

async function trim(clip, buffer) {
  const until = clip.video.currentTime - BEHIND_S;
  if (buffer.buffered.length && buffer.buffered.start(0) < until - 1) {
    const done = settled(buffer);
    buffer.remove(0, until);
    await done;
  }
}

async function fill(clip) {
  const source = new MediaSource();
  clip.video.src = URL.createObjectURL(source);
  await new Promise((resolve) => source.addEventListener('sourceopen', resolve, { once: true }));
  URL.revokeObjectURL(clip.video.src);
  try {
    const answer = await fetch(clip.address, { signal: clip.stop.signal, credentials: 'same-origin' });
    if (!answer.ok) throw new Error(`the stream was refused (${answer.status})`);
    const buffer = source.addSourceBuffer(answer.headers.get('content-type'));
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      await append(buffer, value);
      await trim(clip, buffer);
      while (ahead(clip.video) > AHEAD_S && !clip.stop.signal.aborted) await sleep(200);
    }
  } finally { // also where it broke off: what came plays to its end, and the next clip does not wait for more
    if (source.readyState === 'open' && !clip.stop.signal.aborted) source.endOfStream();
  }
}

function fade(from, to) {
  const began = performance.now();
  const played = from.src;
  to.classList.add('th-front');
  from.classList.remove('th-front');
  fading = true;
  const step = (now) => {
    const share = Math.min(1, Math.max(0, (now - began) / FADE_MS));
    to.volume = share * bar.heard;
    from.volume = (1 - share) * bar.heard;
    if (share < 1) {
      requestAnimationFrame(step);
      return;
    }
    fading = false;
    if (from.src === played) { from.pause(); from.removeAttribute('src'); from.load(); from.volume = bar.heard; }
  };
  requestAnimationFrame(step);
}

function tell(ms) {
  stage.dataset.firstMs = Math.round(ms);
  note.textContent = stage.dataset.first.replace('{ms}', stage.dataset.firstMs);
}

async function show(clip) {
  const before = videos[front];
  while (clip.video.readyState < 3 && !clip.stop.signal.aborted) await sleep(10);
  const readyMs = performance.now() - clip.pressedAt;
  const waits = !ended(before);
  while (!ended(before) && leftMs(before) > FADE_MS && !clip.stop.signal.aborted) await sleep(15);
  if (clip.stop.signal.aborted) return;
  front = videos.indexOf(clip.video);
  if (waits || !clip.video.requestVideoFrameCallback) tell(readyMs); // it could have been shown by then
  else clip.video.requestVideoFrameCallback(() => tell(performance.now() - clip.pressedAt));
  clip.video.volume = 0;
  await clip.video.play();
  bar.pause(false);
  fade(before, clip.video);
  stage.dataset.clips = Number(stage.dataset.clips || 0) + 1;
}

async function play(address) {
  if (!address) return;
  if (!pressedAt) { // stopped before it came
    await fetch(address).then((answer) => answer.body.cancel()).catch(() => {});
    trigger('submit', { address });
    return;
  }
  for (const clip of clips.filter((each) => each.video !== videos[front])) clip.stop.abort(); // a clip that waits gives way
  videos[1 - front].querySelector('track')?.remove(); // the captions of the clip before
  const clip = { address, video: videos[1 - front], stop: new AbortController(), pressedAt };
  clips = [...clips.filter((each) => each.video === videos[front]), clip];
  note.textContent = stage.dataset.waiting;
  const shown = show(clip).catch(() => clip.stop.abort());
  try {
    if (window.MediaSource) await fill(clip);
    else clip.video.src = address; // plays as it arrives where the browser can
    await shown;
  } catch (error) {
    if (clip.stop.signal.aborted && error.name === 'AbortError') return;
    clip.stop.abort();
    note.textContent = '';
  }
  trigger('submit', { address });
}

function stop() {
  for (const clip of clips) clip.stop.abort();
  clips = [];
  pressedAt = 0;
  for (const video of videos) { video.pause(); video.removeAttribute('src'); video.load(); }
  bar.pause(false);
  note.textContent = '';
}

function ask() {
  pressedAt = performance.now();
  if (!ended(videos[front])) bar.pause(false); // what is shown goes on, and the next one follows
}

const videoOf = (address) => clips.find((clip) => clip.address === address)?.video;

window.talkingHead = { play, stop, videoOf, ask };
