// The connection of a conversation (core/web/live/chat_protocol.py): opened again when it is lost, and goes on after the last event that
// came. Messages whose answer has not begun are sent again.

class ChatSocket {
  // words: of the page. start(): the message that begins a conversation. on: chat() gives its id and secret, where there is one already;
  // binding(): the live session that speaks, where there is one; heard(event), unknown() where the server has forgotten the conversation,
  // lost(), closed() at each end of a connection.
  constructor(words, start, on) {
    Object.assign(this, { words, start, on, socket: null, bound: '', problem: null });
    this.forget();
  }

  forget() {
    this.unsent = [];
    this.told = null;      // number of the last event
    this.follows = false;  // what comes next goes on from it
  }

  connect() {
    const { chat, secret } = this.on.chat(), binding = this.on.binding();
    const event = this.told === null ? {} : { event: this.told };
    const first = chat ? { type: 'resume', chat, secret, live: binding, ...event } : this.start(binding);
    this.bound = binding?.session;
    this.follows = Boolean(chat) && this.told !== null;
    const before = this.socket, here = this.socket = new WebSocket(at('talking_head_chat', { lang: this.words.page }));
    before?.close();
    this.problem = null; // why the server is about to close the connection
    let opened = false;
    here.onopen = () => {
      opened = true;
      here.send(JSON.stringify(first));
    };
    here.onmessage = ({ data }) => {
      if (here !== this.socket) return;
      const heard = JSON.parse(data);
      if ('event' in heard) this.told = heard.event;
      if (heard.type === 'error' && heard.turn === undefined) this.problem = heard.error.type;
      this.on.heard(heard);
    };
    here.onclose = ({ code }) => {
      if (here === this.socket) this.ended(here, opened && (code === 1008 || code === 1011));
    };
  }

  // here: the connection. refused: more of the same would not help.
  ended(here, refused) {
    this.on.closed();
    if (this.problem === 'UnknownChat') {
      this.forget();
      this.on.unknown();
      this.connect();
    } else if (this.problem !== 'UnknownLiveSession' && refused) {
      this.socket = null; // told why
    } else {
      if (this.problem === null) this.on.lost();
      setTimeout(() => here === this.socket && this.connect(), RECONNECT_MS);
    }
  }

  // The conversation is there: goes on with what was not answered. Returns false where it is to be drawn anew.
  ready(event) {
    const follows = this.follows;
    if (!follows) this.told = event.next_event - 1;
    this.follows = false;
    return follows;
  }

  // A message that is to be answered, whatever happens to the connection.
  ask(message) {
    this.unsent.push(message);
    this.send(message);
  }

  sendAgain() {
    for (const message of this.unsent) this.send(message);
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN && this.on.chat().chat) this.socket.send(JSON.stringify(message));
  }

  end() {
    const closing = this.socket;
    this.socket = null;
    closing?.close();
  }
}
