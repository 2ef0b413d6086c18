// Takes a finished video along: named after the person and the visitor's time, as MP4, WebM or GIF, or through the system's share sheet.
// Gradio runs this once when the component appears, with `element`.

{
  const words = element.querySelector('[data-language]').dataset;
  const TYPES = { mp4: 'video/mp4', webm: 'video/webm', gif: 'image/gif' };
  const two = (number) => String(number).padStart(2, '0');

  function fileName(row, form) {
    const at = new Date(1000 * row.dataset.at);
    const time = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}.${two(at.getMinutes())}`;
    const person = row.dataset.person.replace(/[\\/:*?"<>|\x00-\x1f]/g, ' ').trim().slice(0, 60) || 'talking-head';
    return `${person} ${time}.${form}`;
  }

  async function file(row, form) {
    const answer = await fetch(row.querySelector(`[data-form=${form}]`).getAttribute('href'), { credentials: 'same-origin' });
    if (!answer.ok) throw new Error(await answer.text());
    return new File([await answer.blob()], fileName(row, form), { type: TYPES[form] });
  }

  function say(row, sentence) {
    row.querySelector('[role=status]').textContent = sentence;
  }

  async function convert(row, link) {
    if (row.getAttribute('aria-busy') === 'true') return;
    row.setAttribute('aria-busy', 'true');
    say(row, words.converting);
    try {
      const made = await file(row, link.dataset.form), address = URL.createObjectURL(made);
      const given = Object.assign(document.createElement('a'), { href: address, download: made.name });
      given.click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      say(row, '');
    } catch (error) {
      say(row, error.message);
    }
    row.setAttribute('aria-busy', 'false');
  }

  async function share(row) {
    try {
      await navigator.share({ files: [await file(row, 'mp4')], title: document.title });
      say(row, '');
    } catch (error) {
      if (error.name !== 'AbortError') say(row, words.shareFailed); // the visitor closed the sheet
    }
  }

  function canShare() {
    const sample = new File([''], 'a.mp4', { type: TYPES.mp4 });
    return Boolean(navigator.canShare?.({ files: [sample] }));
  }

  document.addEventListener('click', (event) => {
    const row = event.target.closest?.('.th-downloads');
    if (!row) return;
    const link = event.target.closest('a[data-form]');
    if (event.target.closest('.th-share')) share(row);
    else if (link?.dataset.form === 'mp4') link.download = fileName(row, 'mp4');
    else if (link) {
      event.preventDefault();
      convert(row, link);
    }
  }, true);
  new MutationObserver(() => {
    for (const button of document.querySelectorAll('.th-share[hidden]')) if (canShare()) button.hidden = false;
  }).observe(document.querySelector('.gradio-container'), { childList: true, subtree: true });
}
