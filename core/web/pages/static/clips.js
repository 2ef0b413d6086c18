// The face of a conversation in clips: the videos of answers one after the other, the person at rest between them, over three video
// elements in rotation, each faded into the next. What is shown was loaded whole before.

const FADE_MS = 300, WATCH_MS = 50;

class Clips {
  // videos: three elements, one over the other. on: began(), ended() of a clip that speaks, blocked() where the browser plays no sound
  // before the visitor has touched the page, lost() where a clip could not be loaded.
  constructor(videos, on) {
    Object.assign(this, { videos, on, waiting: [], resting: null, shown: null, next: 0, changing: false, version: 0 });
    this.timer = setInterval(() => this.watch(), WATCH_MS);
  }

  // The person at rest, again and again.
  async rest(url) {
    if (this.resting) return;
    const resting = await this.loaded(url).catch(() => null);
    if (resting && this.timer) this.resting ??= resting;
  }

  async play(url) {
    const { version } = this;
    try {
      const clip = await this.loaded(url);
      if (version === this.version && this.timer) this.waiting.push(clip);
      else URL.revokeObjectURL(clip);
    } catch {
      if (version === this.version) this.on.lost();
    }
  }

  // Nothing more is said: what is said now fades into rest, or stands still while there is none.
  drop() {
    this.version += 1;
    this.waiting.splice(0).forEach((clip) => URL.revokeObjectURL(clip));
    if (!this.shown || this.shown.dataset.rests) return;
    this.on.ended();
    if (this.resting) this.show(this.resting, true);
    else {
      this.shown.pause();
      this.shown.dataset.rests = 'true';
    }
  }

  end() {
    clearInterval(this.timer);
    this.timer = null;
    this.drop();
    for (const video of this.videos) this.free(video);
    if (this.resting) URL.revokeObjectURL(this.resting);
  }

  get speaks() {
    return Boolean(this.shown && !this.shown.dataset.rests);
  }

  async loaded(url) {
    const answer = await fetch(new URL(url, document.baseURI));
    if (!answer.ok) throw new Error(String(answer.status));
    return URL.createObjectURL(await answer.blob());
  }

  watch() {
    if (this.changing) return;
    const { shown } = this, rests = !this.speaks;
    const over = !shown || shown.ended || shown.duration - shown.currentTime <= FADE_MS / 1000;
    if (this.waiting.length && (rests || over)) this.show(this.waiting.shift(), false);
    else if (over && !rests) {
      this.on.ended();
      if (this.resting) this.show(this.resting, true);
      else shown.dataset.rests = 'true'; // its last picture
    } else if (over && this.resting) this.show(this.resting, true);
  }

  // Fades from what is shown into `address`.
  async show(address, rests) {
    const video = this.videos[this.next], before = this.shown;
    this.next = (this.next + 1) % this.videos.length;
    this.changing = true;
    this.free(video);
    video.muted = rests;
    video.dataset.rests = rests ? 'true' : '';
    video.src = address;
    this.shown = video;
    try {
      await video.play();
    } catch (error) {
      if (error.name === 'NotAllowedError') {
        video.muted = true;
        this.on.blocked();
        await video.play().catch(() => {});
      }
    }
    if (this.timer && this.shown === video) {
      video.style.zIndex = 1;
      if (before) before.style.zIndex = 0;
      video.classList.add('th-shown');
      if (!rests) this.on.began();
      setTimeout(() => this.shown !== before && before && this.free(before), FADE_MS);
    } else this.free(video); // something else is shown by now
    this.changing = false;
  }

  free(video) {
    const address = video.src;
    video.classList.remove('th-shown');
    video.pause();
    video.removeAttribute('src');
    video.load();
    if (address && address !== this.resting) URL.revokeObjectURL(address);
  }
}
