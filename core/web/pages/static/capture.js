// The microphone as 16-bit samples, SLICE_S at a time.

const SLICE_S = 0.02;
const MOST_HZ = 96000; // the server takes no more

class Capture {
  // Of a worklet's address: the samples are cut there, on the thread of the sound. on: sound(bytes, seconds, level 0..1), gone().
  // Raises what getUserMedia raises.
  static async open(worklet, on) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    const stop = () => stream.getTracks().forEach((track) => track.stop());
    let context;
    try {
      context = new AudioContext();
      if (context.sampleRate > MOST_HZ) {
        context.close();
        context = new AudioContext({ sampleRate: 48000 });
      }
      await context.audioWorklet.addModule(worklet);
    } catch (error) {
      stop();
      context?.close();
      throw error;
    }
    return new Capture(stream, context, on);
  }

  constructor(stream, context, on) {
    Object.assign(this, { stream, context, rate: context.sampleRate, on: true });
    const samples = Math.round(this.rate * SLICE_S);
    const cutter = new AudioWorkletNode(context, 'th-slices', { numberOfOutputs: 0, processorOptions: { samples } });
    cutter.port.onmessage = ({ data }) => this.on && on.sound(data.bytes, samples / this.rate, data.level);
    context.createMediaStreamSource(stream).connect(cutter);
    context.resume(); // some browsers begin silent
    stream.getAudioTracks()[0].addEventListener('ended', on.gone);
  }

  set muted(muted) {
    this.on = !muted;
    for (const track of this.stream.getAudioTracks()) track.enabled = !muted;
  }

  stop() {
    this.on = false;
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
  }
}
