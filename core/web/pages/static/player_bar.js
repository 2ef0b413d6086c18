// The buttons beneath a video, and their keys: pause, sound, volume, size, full screen, picture in picture. What a browser cannot do has
// no button.

const QUIETER = 0.1;

class PlayerBar {
  // root: holds videos and bar. front: gives the video that is seen. on: volume(0..1), paused(whether).
  constructor(root, front, on) {
    Object.assign(this, { root, front, on, level: 1, muted: false, paused: false });
    this.words = JSON.parse(root.dataset.player);
    const bar = this.bar = root.querySelector('.th-bar-buttons');
    this.volume = bar.querySelector('input[type=range]');
    const wide = document.pictureInPictureEnabled;
    this.button('small_window').hidden = !wide;
    this.button('full_screen').hidden = !(document.fullscreenEnabled || front().webkitEnterFullscreen);
    bar.addEventListener('click', ({ target }) => this.do(target.closest('[data-bar]')?.dataset.bar));
    this.volume.addEventListener('input', () => this.set(Number(this.volume.value), false));
    root.addEventListener('keydown', (event) => this.key(event));
    document.addEventListener('fullscreenchange', () => this.mark());
  }

  button(name) {
    return this.bar.querySelector(`[data-bar=${name}]`);
  }

  get heard() {
    return this.muted ? 0 : this.level;
  }

  set(level, muted) {
    this.level = Math.max(0, Math.min(1, level));
    this.muted = muted;
    this.on.volume(this.heard);
    this.mark();
  }

  pause(paused) {
    if (!this.button('pause')) return;
    this.paused = paused;
    this.on.paused(paused);
    this.mark();
  }

  mark() {
    this.volume.value = this.heard;
    this.name('mute', this.heard === 0 ? 'unmute' : 'mute');
    this.name('larger', this.root.classList.contains('th-larger') ? 'smaller' : 'larger');
    if (this.button('pause')) this.name('pause', this.paused ? 'play' : 'pause');
    this.button('full_screen').setAttribute('aria-pressed', String(document.fullscreenElement === this.root));
  }

  name(button, word) {
    this.button(button).setAttribute('aria-label', this.words[word]);
    this.button(button).title = this.words[word];
    this.button(button).dataset.shows = word;
  }

  async do(what) {
    const video = this.front();
    try {
      if (what === 'pause') this.pause(!this.paused);
      else if (what === 'mute') this.set(this.level || 1, !this.muted && this.level > 0);
      else if (what === 'larger') {
        this.root.classList.toggle('th-larger');
        this.mark();
      } else if (what === 'full_screen') {
        if (document.fullscreenElement) await document.exitFullscreen();
        else if (this.root.requestFullscreen) await this.root.requestFullscreen();
        else video.webkitEnterFullscreen();
      } else if (what === 'small_window') {
        if (document.pictureInPictureElement) await document.exitPictureInPicture();
        else await video.requestPictureInPicture();
      }
    } catch { /* the browser does not let it, or there is no picture yet */ }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select, input:not([type=range])')) return;
    const onButton = event.target.matches('button');
    const keys = {
      ' ': onButton ? undefined : () => this.do('pause'), k: () => this.do('pause'), m: () => this.do('mute'), f: () => this.do('full_screen'),
      i: () => this.do('small_window'), l: () => this.do('larger'),
      ArrowUp: () => this.set(this.heard + QUIETER, false), ArrowDown: () => this.set(this.heard - QUIETER, false),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}
