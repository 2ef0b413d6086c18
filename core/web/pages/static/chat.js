// The conversation of the Chat tab (docs/chat.md): what was said as text, the face above it, the keyboard, and speech, which the server's
// service recognises or else the browser itself. All that comes from the model is shown as text. A reload goes on with the conversation. Gradio runs this once
// when the component appears, with `element`.

const KEPT = 'talking-head-chat';
const MOST_LINES = 200;
const LATENCY = { first_token_s: 'first_word', first_sentence_s: 'first_sentence', first_sound_s: 'first_sound', first_picture_s: 'first_picture' };

const panel = element.querySelector('.th-chat');
const words = JSON.parse(panel.dataset.words);
const part = (name) => panel.querySelector(`.th-chat-${name}`);
const button = (name) => panel.querySelector(`[data-do=${name}]`);
const log = part('log'), field = panel.querySelector('textarea'), video = panel.querySelector('video');
const Recognition = window.SpeechRecognition || window.webkitSpeechRecognition;
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const say = (sentence) => { part('note').textContent = sentence; };

let kept = null;      // what a reload needs: how it was started, and the conversation
let face = null, socket = null, bound = '', live = false, partner = { name: '' };
let unsent = [];      // messages whose answer has not begun
let turn = -1, lines = new Map();
let problem = null;   // why the server is about to close the connection
let listening = null; // the browser's recognition
let microphone = null, recognising = Promise.resolve();

function keep() {
  try {
    if (kept) sessionStorage.setItem(KEPT, JSON.stringify(kept));
    else sessionStorage.removeItem(KEPT);
  } catch { /* the browser keeps nothing here: a reload begins anew */ }
}

// ---- what is shown

function line(who, text, kind) {
  const node = document.createElement('div'), name = document.createElement('b'), said = document.createElement('p');
  node.className = `th-chat-line th-chat-${kind}`;
  name.textContent = who;
  said.textContent = text;
  node.append(name, said);
  log.append(node);
  while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
  return node;
}

function remark(number, sentence) {
  const beside = lines.get(number);
  const node = document.createElement('small');
  node.textContent = sentence;
  if (beside) beside.append(node);
  else line('', sentence, 'problem');
  log.scrollTop = log.scrollHeight;
}

function write(number, text) {
  if (!lines.has(number)) lines.set(number, line(partner.name, '', 'answer'));
  lines.get(number).querySelector('p').textContent = text;
  log.scrollTop = log.scrollHeight;
}

function rest(busy) { // nothing is written or spoken any more
  log.setAttribute('aria-busy', String(busy));
  button('stop').disabled = !busy;
}

function redraw(ready) {
  log.replaceChildren();
  lines = new Map();
  for (const { turn: number, role, text } of ready.messages) {
    turn = Math.max(turn, number);
    if (role === 'user') line(words.you, text, 'user');
    else write(number, text);
  }
  if (ready.answering) {
    turn = ready.answering.turn;
    write(turn, ready.answering.text);
  }
  rest(Boolean(ready.answering));
}

// ---- the connection

const heard = {
  ready(event) {
    kept.chat = event.chat;
    kept.secret = event.secret;
    keep();
    partner = event.partner;
    live = event.mode === 'live';
    part('partner').textContent = fill(partner.echo ? words.echo : words.partner, partner);
    redraw(event);
    if (part('note').textContent === words.preparing || part('note').textContent === words.lost) say('');
    for (const message of unsent) send(message);
  },
  answer({ turn: number, message }) {
    unsent.shift();
    turn = number;
    line(words.you, message, 'user');
    write(number, '');
    rest(true);
    part('latency').textContent = '';
  },
  text({ turn: number, text }) {
    write(number, (lines.get(number)?.querySelector('p').textContent || '') + text);
  },
  answer_done({ turn: number, text, reason }) {
    if (!live || reason !== 'interrupted') write(number, text); // else `cut` told what was spoken of it
    if (reason === 'length') remark(number, words.cut_off);
    log.setAttribute('aria-busy', 'false'); // it is whole, and is read out
    if (live || reason === 'end' || reason === 'length') return; // it is spoken, or its latency follows
    if (reason === 'interrupted') remark(number, words.interrupted);
    if (number === turn) rest(false);
  },
  spoken({ turn: number }) {
    if (number === turn) rest(false);
  },
  cut({ turn: number, text }) {
    write(number, text);
    remark(number, words.interrupted);
    if (number === turn) rest(false);
  },
  latency(event) {
    if (event.first_picture_s === null && event.turn === turn) rest(false); // nothing of it is spoken
    const told = Object.entries(LATENCY).filter(([name]) => event[name] !== null);
    part('latency').textContent = told.map(([name, word]) => fill(words[word], { s: event[name].toFixed(2) })).join(' · ');
  },
  error({ turn: number, error }) {
    const sentence = [error.message, error.hint].filter(Boolean).join(' ');
    if (number !== undefined) remark(number, sentence);
    else {
      problem = error.type;
      const refused = unsent.shift();
      if (refused && !field.value) field.value = refused.text;
      say(sentence);
    }
  },
};

const send = (message) => {
  if (socket?.readyState === WebSocket.OPEN && kept?.chat) socket.send(JSON.stringify(message));
};

function connect() {
  const binding = face?.binding || undefined;
  const first = kept.chat ? { type: 'resume', chat: kept.chat, secret: kept.secret, live: binding }
    : { type: 'start', ...(binding ? { mode: 'live', live: binding, voice: kept.voice } : { mode: 'text' }) };
  bound = binding?.session;
  const here = socket = new WebSocket(at('talking_head_chat', { lang: words.page }));
  problem = null;
  let opened = false;
  here.onopen = () => {
    opened = true;
    here.send(JSON.stringify(first));
  };
  here.onmessage = ({ data }) => {
    if (here !== socket) return;
    const event = JSON.parse(data);
    heard[event.type]?.(event);
  };
  here.onclose = ({ code }) => {
    if (here !== socket || !kept) return;
    rest(false);
    if (problem === 'UnknownChat') {
      kept.chat = kept.secret = undefined;
      unsent = [];
      connect();
    } else if (problem !== 'UnknownLiveSession' && opened && (code === 1008 || code === 1011)) {
      socket = null; // told why; more of the same would not help
    } else {
      if (problem === null) say(words.lost);
      setTimeout(() => here === socket && kept && connect(), RECONNECT_MS);
    }
  };
}

function begin() {
  document.getElementById('th-chat').classList.add('th-chatting');
  part('microphone').textContent = words.service ? words.microphone_service : Recognition ? words.microphone : words.no_microphone;
  button('speak').hidden = !words.service && !Recognition;
  part('face').hidden = kept.mode !== 'live';
  say(kept.mode === 'live' ? words.preparing : words.no_voices);
  if (kept.mode !== 'live') {
    connect();
    return;
  }
  const textOnly = (sentence) => {
    face = null;
    part('face').hidden = true;
    connect();
    say(`${words.no_video} ${sentence || words.no_face}`);
  };
  face = new Face(video, { avatar: kept.avatar, lang: words.page }, {
    ready: () => {
      if (part('note').textContent === words.lost) say('');
      if (socket && bound === face.binding.session) return;
      const before = socket;
      connect(); // with the session that is there now
      before?.close();
    },
    failed: textOnly,
    lost: () => say(words.lost),
    moved: () => say(words.elsewhere),
    blocked: () => say(words.muted),
  });
}

function start(settings) {
  if (!settings) return;
  kept = JSON.parse(settings);
  keep();
  turn = -1;
  unsent = [];
  log.replaceChildren();
  part('partner').textContent = part('latency').textContent = '';
  begin();
  field.focus();
}

function end() {
  listening?.abort();
  closeMicrophone();
  send({ type: 'close' });
  kept = null;
  keep();
  const closing = socket;
  socket = null;
  closing?.close();
  face?.end();
  face = null;
  rest(false);
  say('');
  document.getElementById('th-chat').classList.remove('th-chatting');
  document.getElementById('th-chat-start')?.focus();
}

// ---- what the visitor does

function submit() {
  const text = field.value.trim();
  if (!text || !kept) return;
  submitText(text);
  field.value = '';
}

function submitText(text) {
  const message = { type: 'message', text, id: crypto.randomUUID?.() || `${Date.now()}-${Math.random()}` };
  unsent.push(message);
  send(message);
}

const interrupt = () => send({ type: 'interrupt' });

const FAILED = {
  NotAllowedError: 'microphone_denied', NotFoundError: 'microphone_missing', SecurityError: 'microphone_insecure',
};

// The microphone stays open until the button is pressed again: what is said is sent at each pause.
async function talk() {
  if (microphone) {
    closeMicrophone();
    return;
  }
  const pressed = microphone = { close() {} }; // until the visitor has allowed it
  button('speak').setAttribute('aria-pressed', 'true');
  try {
    const opened = await Microphone.open({
      began: () => {
        if (!button('stop').disabled) interrupt();
      },
      spoken: (recording) => { recognising = recognising.then(() => recognise(recording)); },
      dropped: () => {},
      lost: () => {
        closeMicrophone();
        say(words.microphone_missing);
      },
    }, () => live && !button('stop').disabled);
    if (microphone !== pressed) opened.close();
    else {
      microphone = opened;
      say(words.listening);
    }
  } catch (error) {
    if (microphone !== pressed) return;
    closeMicrophone();
    say(words[FAILED[error.name] || 'microphone_missing']);
  }
}

function closeMicrophone() {
  const open = microphone;
  microphone = null;
  open?.close();
  button('speak').setAttribute('aria-pressed', 'false');
  if (part('note').textContent === words.listening) say('');
}

async function recognise(recording) {
  const of = kept, listens = () => (microphone ? words.listening : '');
  say(words.recognising);
  try {
    const address = new URL('talking_head_recognition', document.baseURI);
    address.search = new URLSearchParams({ language: kept.language, lang: words.page });
    const answer = await fetch(address, { method: 'POST', body: recording, headers: { 'Content-Type': 'application/octet-stream' } });
    const told = await answer.json();
    if (kept !== of) return;
    if (told.text) submitText(told.text);
    say(told.error ? told.error.message : told.text ? listens() : words.not_heard);
  } catch {
    if (kept === of) say(words.recognition_lost);
  }
}

function listen() {
  if (words.service) {
    talk();
    return;
  }
  if (listening) {
    listening.stop();
    return;
  }
  const recognition = listening = new Recognition();
  let failed = false, whole = false;
  recognition.lang = kept.language;
  recognition.interimResults = true;
  recognition.onspeechstart = interrupt;
  recognition.onresult = ({ results }) => {
    field.value = [...results].map((each) => each[0].transcript).join('');
    whole = results[results.length - 1].isFinal;
  };
  recognition.onerror = ({ error }) => {
    failed = true;
    say({ 'not-allowed': words.microphone_denied, 'service-not-allowed': words.recognition_failed, 'audio-capture': words.microphone_missing,
      'no-speech': words.not_heard, aborted: '' }[error] ?? words.recognition_failed);
  };
  recognition.onend = () => {
    listening = null;
    button('speak').setAttribute('aria-pressed', 'false');
    if (!failed) say('');
    if (whole) submit();
  };
  button('speak').setAttribute('aria-pressed', 'true');
  say(words.listening);
  try {
    recognition.start();
  } catch {
    recognition.onerror({ error: 'unknown' });
    recognition.onend();
  }
}

panel.querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
});
field.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
button('stop').addEventListener('click', () => {
  interrupt();
  field.focus(); // the button rests now
});
button('speak').addEventListener('click', listen);
button('anew').addEventListener('click', end);
for (const kind of ['pointerdown', 'keydown']) {
  document.addEventListener(kind, () => {
    if (!video.muted) return;
    video.muted = false;
    if (part('note').textContent === words.muted) say('');
  });
}

window.talkingHeadChat = { start };

try {
  kept = JSON.parse(sessionStorage.getItem(KEPT));
} catch { /* as above */ }
if (kept) {
  document.getElementById('th-chat').classList.add('th-chatting');
  new IntersectionObserver((seen, observer) => { // a face costs work: not before somebody looks
    if (!seen.some((each) => each.isIntersecting) || !kept) return;
    observer.disconnect();
    if (!face && !socket) begin();
  }).observe(panel);
}
