// Uploads with their bytes and the time left: Gradio sends them without telling how far they are. Where one fails, the visitor reads what the
// server says of it and no more: Gradio would put a number of HTTP, or words in English, before it.

{
  const words = element.querySelector('[data-language]').dataset;
  const TOLD_MS = 400; // what is done sooner is not told
  const plain = window.fetch.bind(window);
  const mib = (bytes) => window.talkingHeadFixed(bytes / 2 ** 20, 1);

  function line() {
    const shown = document.createElement('div');
    shown.className = 'th-uploading';
    shown.setAttribute('role', 'status');
    shown.append(document.createElement('span'), document.createElement('progress'));
    return shown;
  }

  function send(address, options) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest(), shown = line(), began = performance.now();
      request.open('POST', address);
      request.withCredentials = true;
      for (const [name, value] of new Headers(options.headers || {})) request.setRequestHeader(name, value);
      request.upload.addEventListener('progress', ({ loaded, total }) => {
        const ms = performance.now() - began;
        if (ms < TOLD_MS || !total) return;
        if (!shown.isConnected) document.querySelector('.gradio-container').append(shown);
        const left = Math.ceil(((total - loaded) * ms) / loaded / 1000);
        shown.firstChild.textContent = words.uploading.replace('{done}', mib(loaded)).replace('{total}', mib(total)).replace('{seconds}', left);
        shown.lastChild.max = total;
        shown.lastChild.value = loaded;
      });
      const failed = (said) => resolve({ ok: true, json: () => Promise.reject(new Error(said)) }); // Gradio shows what reading throws as it is
      request.addEventListener('load', () => {
        const answer = new Response(request.responseText, { status: request.status });
        if (answer.ok) resolve(answer);
        else failed(request.responseText);
      });
      for (const end of ['error', 'abort', 'timeout']) request.addEventListener(end, () => failed(words.uploadBroken));
      request.addEventListener('loadend', () => shown.remove());
      request.send(options.body);
    });
  }

  window.fetch = (address, options) => {
    const path = typeof address === 'string' ? address : '';
    return /\/gradio_api\/upload(\?|$)/.test(path) && options?.body instanceof FormData ? send(path, options) : plain(address, options);
  };
}
