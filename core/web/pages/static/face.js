// The moving face of a conversation: one live session (core/web/live/live_protocol.py) over as many connections as it takes, played by
// Media Source Extensions, or by what the page has instead.

const HEADER_BYTES = 24, INIT = 1, SEGMENT = 2, SPEAKS = 1;
const KEEP_S = 20;      // so much of what was played is kept
const LATE_S = 1.0;     // what is shown is at most so old
const HURRY_S = 0.45;   // and plays a little faster while it is older than that
const HURRIED = 1.08;
const RECONNECT_MS = 3000;
const TAKEN_OVER = 4409;
const Source = window.ManagedMediaSource || window.MediaSource; // the first is the only one on an iPhone

const at = (name, query) => {
  const address = new URL(name, document.baseURI);
  address.protocol = address.protocol.replace('http', 'ws');
  address.search = new URLSearchParams(query);
  address.hash = '';
  return address;
};

const filled = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

class Player {
  // blocked: called where the browser plays no sound before the visitor has touched the page.
  constructor(video, type, blocked) {
    Object.assign(this, { video, blocked, waiting: [], buffer: null, starting: false, source: new Source() });
    video.disableRemotePlayback = true; // else an iPhone does not begin
    video.src = URL.createObjectURL(this.source);
    this.source.addEventListener('sourceopen', () => {
      URL.revokeObjectURL(video.src);
      this.buffer = this.source.addSourceBuffer(type);
      this.buffer.addEventListener('updateend', () => this.next());
      this.next();
    }, { once: true });
  }

  add(data) {
    this.waiting.push(data);
    this.next();
  }

  next() {
    const { video, buffer } = this;
    if (!buffer || buffer.updating || this.source.readyState !== 'open') return;
    const shown = buffer.buffered;
    if (shown.length) {
      const newest = shown.end(shown.length - 1), oldest = shown.start(shown.length - 1);
      if (video.currentTime < oldest || newest - video.currentTime > LATE_S) video.currentTime = Math.max(oldest, newest - 0.2);
      video.playbackRate = newest - video.currentTime > HURRY_S ? HURRIED : 1;
      if (video.paused) this.play();
      if (video.currentTime - shown.start(0) > 2 * KEEP_S) {
        buffer.remove(0, video.currentTime - KEEP_S);
        return;
      }
    }
    if (this.waiting.length) buffer.appendBuffer(this.waiting.shift());
  }

  async play() {
    if (this.starting) return;
    this.starting = true;
    try {
      await this.video.play();
    } catch (error) {
      if (error.name === 'NotAllowedError' && !this.video.muted) {
        this.video.muted = true;
        this.blocked();
      }
    }
    this.starting = false;
  }

  // What came before is not shown to its end.
  skip() {
    const shown = this.buffer?.buffered;
    if (shown?.length) this.video.currentTime = shown.end(shown.length - 1);
  }
}

class Face {
  // on: ready(), failed(sentence), lost(), moved(), blocked(), warned(sentences); and where they are wanted piece(head), event(message),
  // player(ready): another one than `Player`.
  // start: what the session is started with besides. notices: warnings by their code.
  constructor(video, query, on, start, notices) {
    Object.assign(this, { video, query, on, start, notices, session: null, problem: '', over: false, ever: false, open: false });
    this.connect();
  }

  get binding() {
    return this.session && { session: this.session.session, secret: this.session.secret };
  }

  connect() {
    const socket = this.socket = new WebSocket(at('talking_head_live', this.query));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify(this.session
      ? { type: 'resume', ...this.binding, received: this.received, event: this.told } : { type: 'start', format: 'fmp4', ...this.start }));
    socket.onmessage = ({ data }) => (typeof data === 'string' ? this.hear(JSON.parse(data)) : this.show(data));
    socket.onclose = ({ code }) => {
      if (this.over || socket !== this.socket) return;
      this.open = false;
      if (code === TAKEN_OVER) {
        this.over = true;
        this.on.moved();
      } else if (!this.ever) {
        this.over = true;
        this.on.failed(this.problem);
      } else {
        if (code >= 4400 || code === 1001) this.session = null; // it is over: another one begins
        this.on.lost();
        setTimeout(() => this.over || this.connect(), RECONNECT_MS);
      }
    };
  }

  // False where there is no connection: what is said live is not kept for later.
  put(message) {
    if (!this.open || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(message);
    return true;
  }

  tell(message) {
    return this.put(JSON.stringify(message));
  }

  sound(bytes) {
    return this.put(bytes);
  }

  hear(event) {
    if ('event' in event) this.told = event.event;
    this.on.event?.(event);
    if (event.type === 'ready') {
      this.ever = true;
      if (!this.session) {
        this.received = -1;
        this.told = undefined;
        this.generation = event.generation;
        this.player?.end?.();
        this.player = this.on.player?.(event) ?? new Player(this.video, event.mime_type, this.on.blocked);
      }
      this.session = event;
      this.open = true;
      this.on.warned(event.warnings.map(({ code, parameters, message }) => filled(this.notices[code] ?? message, parameters)));
      this.on.ready();
    } else if (event.type === 'interrupted') {
      this.generation = event.generation;
      this.player?.skip();
    } else if (event.type === 'error') this.problem = event.error.message;
  }

  show(data) {
    const head = new DataView(data, 0, HEADER_BYTES), kind = head.getUint8(1);
    this.received = head.getUint32(8);
    const speaks = (head.getUint16(2) & SPEAKS) !== 0;
    this.on.piece?.({ speaks, at_s: Number(head.getBigUint64(12)) / 1e6, duration_s: head.getUint32(20) / 1e6 });
    if (kind === INIT || (kind === SEGMENT && head.getUint32(4) >= this.generation)) this.player.add(data.slice(HEADER_BYTES));
  }

  end() {
    this.over = true;
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: 'close' }));
    this.socket.close();
    this.player?.end?.();
    this.video.removeAttribute('src');
    this.video.load();
  }
}
