// Keys that Gradio's tabs and dropdowns leave out, and what its parts do not say to screen readers.

{
  const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

  document.addEventListener('keydown', (event) => {
    const tab = event.target.closest?.('[role=tab]');
    if (!tab) return;
    const tabs = [...tab.closest('[role=tablist]').querySelectorAll('[role=tab]')].filter((each) => each.offsetParent && !each.disabled);
    const at = tabs.indexOf(tab);
    const next = { Home: 0, End: tabs.length - 1 }[event.key] ?? (STEPS[event.key] && (at + STEPS[event.key] + tabs.length) % tabs.length);
    if (next === undefined) return;
    event.preventDefault();
    tabs[next].focus();
    tabs[next].click();
  });

  document.addEventListener('keydown', (event) => { // a dropdown opens its list again at this key, after the focus has left
    if (event.key === 'Tab' && event.target.hasAttribute?.('aria-expanded')) event.stopPropagation();
  }, true);

  const name = () => {
    for (const each of document.querySelectorAll('.empty[aria-label]:not([role])')) each.setAttribute('role', 'img');
  };
  new MutationObserver(name).observe(document.querySelector('.gradio-container'), { childList: true, subtree: true });
  name();
}
