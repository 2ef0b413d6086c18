// Puts captions on the video they belong to, and switches them. Gradio runs this once when the component appears, with `element` and
// `watch`; `PLACE` is the selector of what holds the video.

let on = true;

const board = () => element.querySelector('.th-captions');
const toggle = () => element.querySelector('.th-captions input');
const mode = () => (on ? 'showing' : 'hidden');

function video() {
  const address = board()?.dataset.address; // of a stream: two videos take turns there
  return address ? window.talkingHead?.videoOf(address) : document.querySelector(`${PLACE} video`);
}

function put() {
  const target = video();
  const source = board()?.dataset.track; // the address of a WebVTT file
  const before = target?.querySelector('track');
  if (!target || (before && before.src === source)) return;
  before?.remove();
  if (!source) return;
  const track = document.createElement('track');
  Object.assign(track, { kind: 'captions', src: source });
  target.append(track);
  track.track.mode = mode();
}

function update() {
  if (toggle()) toggle().checked = on;
  put();
}

element.addEventListener('change', () => {
  on = toggle().checked;
  const track = video()?.querySelector('track');
  if (track) track.track.mode = mode();
});
watch('value', update);
new MutationObserver(put).observe(document.querySelector(PLACE), { childList: true, subtree: true }); // the video may be made anew
update();
