// Notices when somebody begins to speak into the microphone, and records what they say until they pause. Nothing is kept or sent here.

const LOOK_MS = 20;
const ONSET_MS = 60, ONSET_OVER_FACE_MS = 120;   // so long a sound is no click; the face may be heard, too, where it cannot be taken out
const QUIET = 0.008, QUIET_OVER_FACE = 0.02;     // what is below is never speech; root mean square, 1 is full scale
const ABOVE_NOISE = 3;                           // about 10 dB
const PAUSE_MS = 800, LONGEST_MS = 55_000, SHORTEST_MS = 150;
const BEFORE_S = 0.4;                            // recorded from before it was noticed: first consonants are soft
const FALLS = 0.8, SINKS = 0.1, RISES = 0.005, RISES_IN_SPEECH = 0.001; // of level and noise in each look

class Voice {
  // on: began(), spoken(recording), dropped() for what was too short to be speech, lost(). over: whether the face speaks just now.
  // Rejects as Microphone.open does.
  static async open(on, over) {
    const voice = new Voice(await Microphone.open(() => voice.lost()), on, over);
    return voice;
  }

  constructor(microphone, on, over) {
    Object.assign(this, { microphone, on, over, recorder: null, level: 0, noise: QUIET / ABOVE_NOISE, loudSince: null, loudLast: 0 });
    const { context, sound } = microphone, delay = context.createDelay(1);
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    delay.delayTime.value = BEFORE_S;
    this.delayed = context.createMediaStreamDestination();
    sound.connect(this.analyser).connect(delay).connect(this.delayed);
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  look() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const now = performance.now();
    const heard = Math.sqrt(this.samples.reduce((sum, each) => sum + each * each, 0) / this.samples.length);
    this.level = Math.max(heard, FALLS * this.level);
    const over = this.over();
    const loud = this.level > Math.max(over ? QUIET_OVER_FACE : QUIET, ABOVE_NOISE * this.noise);
    const rises = this.recorder ? RISES_IN_SPEECH : RISES;
    this.noise += (this.level - this.noise) * (this.level < this.noise ? SINKS : rises);
    if (loud) {
      this.loudSince ??= now;
      this.loudLast = now;
    } else if (!this.recorder) this.loudSince = null;
    if (!this.recorder && loud && now - this.loudSince >= (over ? ONSET_OVER_FACE_MS : ONSET_MS)) this.begin(now);
    else if (this.recorder && (now - this.loudLast > PAUSE_MS || now - this.began > LONGEST_MS)) this.finish();
  }

  begin(now) {
    const pieces = [], recorder = this.recorder = new MediaRecorder(this.delayed.stream, { audioBitsPerSecond: 48_000 });
    this.began = now;
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    recorder.onstop = () => {
      if (recorder.long) this.on.spoken(new Blob(pieces, { type: recorder.mimeType }));
      else this.on.dropped();
    };
    recorder.start();
    this.on.began();
  }

  finish() {
    this.recorder.long = this.loudLast - this.loudSince >= SHORTEST_MS;
    this.recorder.stop();
    this.recorder = this.loudSince = null;
  }

  // What is being said is still told.
  close() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
    if (this.recorder) this.finish();
    this.microphone.close();
  }

  lost() {
    this.close();
    this.on.lost();
  }
}
