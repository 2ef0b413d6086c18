// Plays the first seconds of a video while the rest of it is made, where the video will be. When that comes it goes on from where the preview
// was, or begins anew where the preview is over. Where that place is out of view, the preview is shown small in a corner.

{
  const words = element.querySelector('[data-language]').dataset;
  const HANDED_OVER_MS = 3000; // after so long the preview makes way, whatever the whole does
  const find = (id) => document.getElementById(id);
  const shown = document.createElement('figure');
  shown.className = 'th-preview';
  const video = document.createElement('video'), note = document.createElement('figcaption');
  video.playsInline = true;
  note.textContent = words.preview;
  shown.append(video, note);
  const whole = () => find('th-video').querySelector('video');
  let address = '', before = '', handing = false;

  const seen = new IntersectionObserver(([place]) => shown.classList.toggle('th-floats', !place.isIntersecting), { threshold: 0.3 });

  // Over the place of the video, and not within it: what looks for the video there must not find the preview.
  function lay() {
    const around = find('th-result').getBoundingClientRect(), { left, top, width, height } = find('th-video').getBoundingClientRect();
    const box = { x: left - around.left, y: top - around.top, w: width, h: height };
    for (const [name, px] of Object.entries(box)) shown.style.setProperty(`--${name}`, `${px}px`);
  }
  const sizes = new ResizeObserver(lay);

  async function start(next) {
    address = next;
    const place = find('th-video');
    if (!place) return;
    before = whole()?.src || '';
    handing = false;
    find('th-result').append(shown);
    lay();
    seen.observe(place);
    sizes.observe(find('th-result'));
    video.muted = false;
    video.src = next;
    try {
      await video.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError') return;
      video.muted = true; // the browser plays no sound before the visitor has touched the page
      video.play().catch(() => {});
    }
  }

  function end() {
    address = '';
    handing = false;
    seen.disconnect();
    sizes.disconnect();
    shown.remove();
    video.pause();
    video.removeAttribute('src');
    video.load();
  }

  // The status and the video come one after the other.
  function handOver() {
    const mine = address, until = performance.now() + HANDED_OVER_MS;
    handing = true;
    (function look() {
      if (address !== mine) return; // another one has begun
      const next = whole(), there = next && next.readyState > 0 && next.src !== before;
      if (!there && performance.now() < until) {
        setTimeout(look, 50);
        return;
      }
      if (there && !video.ended && !video.paused) next.currentTime = video.currentTime;
      end();
    })();
  }

  function changed() {
    const status = find('th-status');
    const next = status?.querySelector('[data-preview]')?.dataset.preview || '';
    if (next && next !== address) start(next);
    else if (!next && address && !handing && status && !status.querySelector('[role=progressbar]')) {
      if (status.querySelector('.th-result')) handOver();
      else end();
    }
  }

  video.addEventListener('error', () => { if (video.getAttribute('src')) end(); });
  new MutationObserver(changed).observe(document.querySelector('.gradio-container'), {
    childList: true, subtree: true, attributes: true, attributeFilter: ['data-preview'],
  });
}
