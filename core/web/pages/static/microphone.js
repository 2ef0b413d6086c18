// The microphone of a conversation: the browser takes echo and noise out of what it hears.

const MOST_HZ = 96000; // the server takes no more

class Microphone {
  // gone: called when it is taken away. Rejects as getUserMedia does.
  static async open(gone) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException('', 'SecurityError');
    const sound = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: sound });
    try {
      return new Microphone(stream, gone);
    } catch (error) { // a browser that plays no sound just now: the microphone must not stay on
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
  }

  constructor(stream, gone) {
    this.stream = stream;
    this.context = new AudioContext();
    if (this.context.sampleRate > MOST_HZ) {
      this.context.close();
      this.context = new AudioContext({ sampleRate: 48000 });
    }
    this.context.resume(); // some browsers begin silent
    this.sound = this.context.createMediaStreamSource(stream);
    stream.getAudioTracks()[0].addEventListener('ended', gone);
  }

  set muted(muted) {
    for (const track of this.stream.getAudioTracks()) track.enabled = !muted;
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
  }
}
