// The examples: the video of a card plays, without sound, while the card is pointed at or has the focus. A card that is chosen fills the
// inputs. Gradio runs this once when the component appears, with `element` and `trigger`.

{
  const still = window.matchMedia('(prefers-reduced-motion: reduce)');
  const cardOf = (event) => event.target.closest?.('.th-example');

  function play(card) {
    if (!card || still.matches) return;
    const video = card.querySelector('video');
    card.classList.add('th-plays');
    video.play().catch(() => {}); // it was left again meanwhile
  }

  function rest(card) {
    if (!card || card.matches(':hover, :focus')) return;
    const video = card.querySelector('video');
    card.classList.remove('th-plays');
    video.pause();
    if (video.currentTime) video.currentTime = 0;
  }

  element.addEventListener('pointerover', (event) => play(cardOf(event)));
  element.addEventListener('pointerout', (event) => rest(cardOf(event)));
  element.addEventListener('focusin', (event) => play(cardOf(event)));
  element.addEventListener('focusout', (event) => setTimeout(rest, 0, cardOf(event)));
  element.addEventListener('click', (event) => {
    const card = cardOf(event);
    if (!card) return;
    coming = true;
    trigger('select', { key: card.dataset.key });
  });

  // Generate waits for the files of an example that was just chosen.
  let coming = false, pressed = null;
  document.addEventListener('click', (event) => {
    const button = coming && event.target.closest?.('#th-generate');
    if (!button) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    pressed = button;
  }, true);
  window.talkingHeadChosen = () => {
    coming = false;
    pressed?.click();
    pressed = null;
  };
}
