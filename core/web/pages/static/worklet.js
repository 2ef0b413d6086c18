// Cuts the sound of a microphone into slices of 16-bit samples, on the thread of the sound; loaded by capture.js.

registerProcessor('th-slices', class extends AudioWorkletProcessor {
  constructor({ processorOptions: { samples } }) {
    super();
    Object.assign(this, { slice: new Int16Array(samples), n: 0, peak: 0 });
  }

  process([[samples]]) {
    for (const sample of samples ?? []) {
      const bounded = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(bounded));
      this.slice[this.n++] = bounded * 32767;
      if (this.n < this.slice.length) continue;
      const { buffer } = this.slice.slice();
      this.port.postMessage({ bytes: buffer, level: this.peak }, [buffer]);
      this.n = this.peak = 0;
    }
    return true;
  }
});
