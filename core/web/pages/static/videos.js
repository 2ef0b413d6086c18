// What can be done with each video of the Videos tab. The list is made anew by the server after each of it; the focus stays where it was.
// Gradio runs this once when the component appears, with `element` and `trigger`.

let focused = null; // which button of which video had the focus
let sure = '';      // the video that is deleted at the next press
let playing = [];   // what plays goes on in the new list

const cardOf = (node) => node.closest('[data-video]');
const tell = (card, does, more = {}) => trigger('select', { video: card.dataset.video, do: does, ...more });

function rename(card, open) {
  card.querySelector('form').hidden = !open;
  card.querySelector('b').hidden = open;
  if (open) card.querySelector('input').select();
  else card.querySelector('[data-do=rename]').focus();
}

const DOES = {
  reuse: (card) => tell(card, 'reuse'),
  keep: (card) => tell(card, 'keep'),
  rename: (card) => rename(card, true),
  cancel: (card) => rename(card, false),
  delete: (card) => {
    if (sure === card.dataset.video) {
      const next = card.nextElementSibling || card.previousElementSibling;
      focused = next ? { video: next.dataset.video, does: 'delete' } : { video: '', does: '' };
      tell(card, 'delete');
    } else sure = card.dataset.video;
    mark();
  },
};

// Elements may be used again for another video.
function mark() {
  for (const card of element.querySelectorAll('[data-video]')) {
    const button = card.querySelector('[data-do=delete]'), asked = sure === card.dataset.video;
    const said = asked ? card.dataset.sure : card.dataset.delete;
    if (!button || button.textContent === said) continue;
    button.textContent = said;
    button.toggleAttribute('data-sure', asked);
    button.setAttribute('aria-label', `${said}: ${card.querySelector('b').textContent}`);
  }
}

element.addEventListener('click', ({ target }) => {
  const button = target.closest('[data-do]');
  if (button) DOES[button.dataset.do]?.(cardOf(button), button);
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const card = cardOf(event.target);
  focused = { video: card.dataset.video, does: 'rename' };
  tell(card, 'rename', { name: card.querySelector('input').value });
  rename(card, false);
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && event.target.closest('form')) rename(cardOf(event.target), false);
});
element.addEventListener('focusin', ({ target }) => {
  const button = target.closest('.th-does [data-do]');
  if (button) focused = { video: cardOf(button).dataset.video, does: button.dataset.do };
});
document.addEventListener('focusin', ({ target }) => {
  if (!element.contains(target)) focused = null;
});
element.addEventListener('timeupdate', ({ target }) => {
  const { video } = cardOf(target).dataset;
  playing = target.paused ? [] : [video, target.currentTime];
}, true);

function restore() {
  mark();
  const [video, time] = playing;
  const again = video && element.querySelector(`[data-video="${video}"] video`);
  if (again && again.currentTime === 0) {
    again.currentTime = time;
    again.play().catch(() => {});
  }
  if (!focused || document.activeElement !== document.body) return;
  const button = element.querySelector(`[data-video="${focused.video}"] [data-do="${focused.does}"]`);
  (button || document.getElementById('th-results-refresh'))?.focus();
}

new MutationObserver(restore).observe(element, { childList: true, subtree: true });
