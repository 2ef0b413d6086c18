// Puts captions on the video they belong to, and switches them. Gradio runs this once when the component appears, with `element` and
// `watch`; `PLACE` is the selector of what holds the video.

let on = true;
let captioned = null; // the video that was given the latest captions

const board = () => element.querySelector('.th-captions');
const toggle = () => element.querySelector('.th-captions input');
const mode = () => (on ? 'showing' : 'hidden');

function video() {
  const address = board()?.dataset.address; // of a stream: two videos take turns there
  return address ? window.talkingHead?.videoOf(address) : document.querySelector(`${PLACE} video`);
}

function put() {
  const source = board()?.dataset.track; // the address of a WebVTT file
  const target = source ? video() : captioned;
  const before = target?.querySelector('track');
  if (!target || before?.src === source) return;
  before?.remove();
  captioned = source ? target : null;
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
  for (const each of document.querySelectorAll(`${PLACE} track`)) each.track.mode = mode();
});
watch('value', update);
const placed = setInterval(() => { // what holds the video may come later, when its tab is first opened
  const place = document.querySelector(PLACE);
  if (!place) return;
  clearInterval(placed);
  new MutationObserver(put).observe(place, { childList: true, subtree: true }); // the video may be made anew
  put();
}, 200);
update();
