// The page's language, told to the browser; and what was put in stays when the language is changed.

{
  document.getElementById('th-first')?.remove();
  const LEAVE_MS = 2000; // where the server does not keep it by then, the page is left without
  document.documentElement.lang = element.querySelector('[data-language]').dataset.language;

  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('.th-language');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    let left = false;
    window.talkingHeadLeave = () => {
      if (!left) location.assign(link.href);
      left = true;
    };
    setTimeout(window.talkingHeadLeave, LEAVE_MS);
    trigger('submit', {});
  });
}
