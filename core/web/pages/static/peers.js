// A live session over WebRTC (core/web/live/page_peers.py): picture and sound by WHEP, the microphone by WHIP.

const SDP = 'application/sdp', FRAGMENT = 'application/trickle-ice-sdpfrag';
const CONNECT_MS = 5000;  // after so long without a connection there will be none: UDP does not get through
const STUTTER_MS = 2000;  // a connection that is lost for so long is restarted
const TRICKLE_MS = 100;   // candidates that come within it are sent together

class Peer {
  // One connection. query: of its endpoint. prepare(pc): adds what is offered. on: connected(), failed(open): whether it ever was connected.
  constructor(query, prepare, on) {
    Object.assign(this, { query, prepare, on, over: false, found: [], open: false });
    this.late = setTimeout(() => this.fail(), CONNECT_MS);
    this.begin().catch(() => this.fail());
  }

  address(query) {
    const address = new URL('talking_head_peers', document.baseURI);
    address.search = new URLSearchParams(query);
    return address;
  }

  async begin() {
    const endpoint = this.address(this.query);
    const offered = await fetch(endpoint, { method: 'OPTIONS' });
    if (!offered.ok) throw new Error(String(offered.status));
    const pc = this.pc = new RTCPeerConnection({ iceServers: servers(offered.headers.get('Link')), bundlePolicy: 'max-bundle' });
    if (this.over) return pc.close();
    pc.onicecandidate = ({ candidate }) => candidate?.candidate && this.trickle(candidate.candidate);
    pc.onconnectionstatechange = () => this.changed(pc.connectionState);
    this.prepare(pc);
    await pc.setLocalDescription();
    const answered = await fetch(endpoint, { method: 'POST', headers: { 'Content-Type': SDP }, body: pc.localDescription.sdp });
    if (answered.status !== 201) throw new Error(String(answered.status));
    this.place = new URL(answered.headers.get('Location'), endpoint);
    this.version = answered.headers.get('ETag');
    this.answer = await answered.text();
    if (this.over) return this.end();
    await pc.setRemoteDescription({ type: 'answer', sdp: this.answer });
    return this.send();
  }

  changed(state) {
    clearTimeout(this.stutter);
    if (state === 'connected') {
      clearTimeout(this.late);
      this.open = true;
      this.on.connected();
    } else if (state === 'disconnected') this.stutter = setTimeout(() => this.restart(), STUTTER_MS);
    else if (state === 'failed') this.restart();
    else if (state === 'closed') this.fail();
  }

  // Candidates that are found are sent soon, together.
  trickle(candidate) {
    this.found.push(candidate);
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.send(), TRICKLE_MS);
  }

  async send() {
    if (!this.place || !this.found.length || this.over) return;
    const body = this.fragment(this.found.splice(0));
    await fetch(this.place, { method: 'PATCH', headers: { 'Content-Type': FRAGMENT, 'If-Match': this.version }, body }).catch(() => {});
  }

  fragment(candidates) {
    const { sdp } = this.pc.localDescription;
    const [ufrag] = sdp.match(/a=ice-ufrag:.*/), [password] = sdp.match(/a=ice-pwd:.*/), [mid] = sdp.match(/a=mid:.*/);
    return [ufrag, password, 'm=audio 9 UDP/TLS/RTP/SAVPF 0', mid, ...candidates.map((each) => `a=${each}`), ''].join('\r\n');
  }

  // ICE anew, such as after a change of network; keys and tracks stay.
  async restart() {
    if (this.over) return;
    clearTimeout(this.late);
    this.late = setTimeout(() => this.fail(), CONNECT_MS);
    try {
      await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: true }));
      const body = this.fragment(this.found.splice(0));
      const answered = await fetch(this.place, { method: 'PATCH', headers: { 'Content-Type': FRAGMENT, 'If-Match': '*' }, body });
      if (answered.status !== 200) throw new Error(String(answered.status));
      this.version = answered.headers.get('ETag');
      const told = (await answered.text()).split('\r\n');
      const found = told.filter((line) => line.startsWith('a=candidate:') || line === 'a=end-of-candidates');
      const lines = this.answer.split('\r\n').filter((line) => !/^a=(candidate:|end-of-candidates)/.test(line));
      this.answer = lines.flatMap((line) => {
        if (line.startsWith('a=ice-ufrag:')) return [told.find((each) => each.startsWith('a=ice-ufrag:'))];
        if (line.startsWith('a=ice-pwd:')) return [told.find((each) => each.startsWith('a=ice-pwd:')), ...found];
        return [line];
      }).join('\r\n');
      await this.pc.setRemoteDescription({ type: 'answer', sdp: this.answer });
    } catch {
      this.fail();
    }
  }

  fail() {
    if (this.over) return;
    this.end();
    this.on.failed(this.open);
  }

  end() {
    this.over = true;
    clearTimeout(this.late);
    clearTimeout(this.stutter);
    clearTimeout(this.soon);
    this.pc?.close();
    if (this.place) fetch(this.place, { method: 'DELETE', keepalive: true }).catch(() => {});
  }
}

// ICE servers, as WHIP tells them in Link.
const servers = (link) => [...(link ?? '').matchAll(/<([^>]+)>; rel="ice-server"(?:; username="([^"]*)"; credential="([^"]*)")?/g)]
  .map(([, urls, username, credential]) => (username ? { urls, username, credential } : { urls }));

// What `Face` is shown by where its session gives packets.
class PeerPlayer {
  // track: of the microphone. on: began(), it is heard; failed(open), where there is no connection any more; blocked(), as `Player` has it.
  constructor(video, session, lang, track, on) {
    Object.assign(this, { video, spoken: false });
    const query = { session, lang };
    this.watching = new Peer({ do: 'watch', ...query }, (pc) => {
      const stream = new MediaStream();
      for (const kind of ['video', 'audio']) stream.addTrack(pc.addTransceiver(kind, { direction: 'recvonly' }).receiver.track);
      for (const { receiver } of pc.getTransceivers()) receiver.jitterBufferTarget = 0;
      video.srcObject = stream;
    }, { connected: () => this.play(on.blocked), failed: on.failed });
    this.speaking = new Peer({ do: 'speak', ...query }, (pc) => pc.addTransceiver(track, { direction: 'sendonly' }), {
      connected: () => {
        this.spoken = true;
        on.began();
      },
      failed: on.failed,
    });
  }

  async play(blocked) {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError' || this.video.muted) return;
      this.video.muted = true;
      blocked();
      this.video.play().catch(() => {});
    }
  }

  // What the browser keeps back to even out the network, seconds.
  async kept_s() {
    const found = await this.watching.pc?.getStats(); // none before it is offered
    const picture = [...(found?.values() ?? [])].find((each) => each.type === 'inbound-rtp' && each.kind === 'video');
    return picture?.jitterBufferEmittedCount ? picture.jitterBufferDelay / picture.jitterBufferEmittedCount : 0;
  }

  get over() {
    return this.watching.over || this.speaking.over;
  }

  skip() {}

  end() {
    this.watching.end();
    this.speaking.end();
    this.video.srcObject = null;
  }
}
