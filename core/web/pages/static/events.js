// Listens to what the server tells of the visitor's jobs, videos and avatars, as long as the page is seen. Progress is put where it
// belongs at once; for all else the page is asked to read anew. Gradio runs this once when the component appears, with `element`,
// `trigger` and `watch`.

const FOLDER = 'talking_head_events';
const AGAIN_MS = 3000; // after so long a new token is asked for where the server does not know this one (any more)

let source = null;
let again = 0;

const token = () => element.querySelector('[data-token]')?.dataset.token || '';

function fill(progress) {
  for (const [job, html] of Object.entries(progress)) {
    for (const shown of document.querySelectorAll(`[data-job="${job}"]`)) shown.outerHTML = html;
  }
}

function close() {
  clearTimeout(again);
  source?.close();
  source = null;
}

function open() {
  close();
  if (!token() || document.hidden) return;
  const mine = new EventSource(`${FOLDER}/${token()}`);
  source = mine;
  mine.addEventListener('progress', (event) => fill(JSON.parse(event.data)));
  mine.addEventListener('changed', () => trigger('select', {}));
  mine.addEventListener('error', () => { // a connection that is lost is opened again by the browser; a refused one is not
    if (mine === source && mine.readyState === EventSource.CLOSED) again = setTimeout(() => trigger('submit', {}), AGAIN_MS);
  });
}

document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
window.addEventListener('pagehide', close);
window.addEventListener('pageshow', (event) => { if (event.persisted) open(); });
watch('value', open);
open();
