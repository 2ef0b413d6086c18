// How far a live face is behind the voice that moves it: when the sound was sent that is heard at a moment of the video.

const FPS = 25;
const REMEMBER = 3000; // slices of sound, and pieces of video

class Delay {
  constructor() {
    Object.assign(this, { sent: [], sent_s: 0, pieces: [], spoken_s: 0, before_s: 0, interrupted_s: null });
  }

  // So much sound was sent just now.
  sound(seconds) {
    this.sent_s += seconds;
    this.sent.push([this.sent_s, performance.now()]);
    if (this.sent.length > REMEMBER) this.sent.shift();
  }

  // A piece of the video in which the person speaks.
  piece(at_s, duration_s) {
    this.pieces.push([at_s, this.spoken_s]);
    this.spoken_s += duration_s;
    if (this.pieces.length > REMEMBER) this.pieces.shift();
  }

  // The server was asked to forget what it was sent.
  interrupt() {
    this.interrupted_s = this.sent_s;
  }

  // And did.
  cut() {
    this.spoken_s = this.interrupted_s ?? this.sent_s;
    Object.assign(this, { pieces: [], before_s: null });
  }

  // Exactly so many frames were spoken by now, of them `filled` with silence because sound was late.
  count({ spoken, filled }) {
    const counted_s = (spoken - filled) / FPS;
    if (this.before_s === null) this.before_s = this.spoken_s - counted_s;
    this.spoken_s = this.before_s + counted_s;
  }

  // In seconds, of what is shown at `video_s`; null where nothing is spoken.
  at(video_s) {
    const piece = this.pieces.findLast(([at_s]) => at_s <= video_s);
    if (!piece || video_s - piece[0] > 1) return null;
    const heard_s = piece[1] + video_s - piece[0];
    const slice = this.sent.find(([until_s]) => until_s >= heard_s);
    return slice ? (performance.now() - slice[1]) / 1000 : null;
  }
}
