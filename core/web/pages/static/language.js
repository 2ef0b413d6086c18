// The page's language, told to the browser, and numbers as it writes them; and what was put in stays when the language is changed.

{
  document.getElementById('th-first')?.remove();
  const LEAVE_MS = 2000; // where the server does not keep it by then, the page is left without
  const API = 'footer .show-api', API_PAGE = '#api';
  const language = element.querySelector('[data-language]').dataset.language;
  document.documentElement.lang = language;
  window.talkingHeadFixed = (value, digits) =>
    value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });

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

  // Gradio describes the API on the page that has it, which is the English one.
  document.addEventListener('click', (event) => {
    if (language === 'en' || !event.target.closest?.(API)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    location.assign(`./?lang=en${API_PAGE}`);
  }, true);
  if (location.hash === API_PAGE) {
    const shown = setInterval(() => {
      if (!document.querySelector(API)) return;
      clearInterval(shown);
      document.querySelector(API).click();
    }, 100);
  }
}
