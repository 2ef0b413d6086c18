// What the microphone hears, as 16-bit samples, SLICE_S at a time.

const SLICE_S = 0.02;

class Capture {
  // Of a worklet's address: the samples are cut there, on the thread of the sound. on: sound(bytes, seconds, level 0..1), gone().
  // Raises what Microphone.open raises.
  static async open(worklet, on) {
    const microphone = await Microphone.open(on.gone);
    try {
      await microphone.context.audioWorklet.addModule(worklet);
    } catch (error) {
      microphone.close();
      throw error;
    }
    return new Capture(microphone, on);
  }

  constructor(microphone, on) {
    const { context } = microphone;
    Object.assign(this, { microphone, rate: context.sampleRate, on: true });
    const samples = Math.round(this.rate * SLICE_S);
    const cutter = new AudioWorkletNode(context, 'th-slices', { numberOfOutputs: 0, processorOptions: { samples } });
    cutter.port.onmessage = ({ data }) => this.on && on.sound(data.bytes, samples / this.rate, data.level);
    microphone.sound.connect(cutter);
  }

  set muted(muted) {
    this.on = !muted;
    this.microphone.muted = muted;
  }

  stop() {
    this.on = false;
    this.microphone.close();
  }
}
