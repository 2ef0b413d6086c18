// The conversation of the Chat tab (docs/chat.md): what was said as text, the face above it, the keyboard, and speech, which
// speech.js hears. All that comes from the model is shown as text. A reload goes on with the conversation. Gradio runs this once
// when the component appears, with `element`.

const KEPT = 'talking-head-chat';
const MOST_LINES = 200;
const LATENCY = { first_token_s: 'first_word', first_sentence_s: 'first_sentence', first_sound_s: 'first_sound', first_picture_s: 'first_picture' };

const panel = element.querySelector('.th-chat');
const words = JSON.parse(panel.dataset.words);
const part = (name) => panel.querySelector(`.th-chat-${name}`);
const button = (name) => panel.querySelector(`[data-do=${name}]`);
const log = part('log'), field = panel.querySelector('textarea'), videos = [...panel.querySelectorAll('video')];
const say = (sentence) => { part('note').textContent = sentence; };

let kept = null;      // what a reload needs: how it was started, and the conversation
let face = null, clips = null, socket = null, bound = '', live = false, partner = { name: '' };
let unsent = [];      // messages whose answer has not begun
let turn = -1, unwanted = -1; // the last answer, and that of which no clip is shown any more
let busy = false, coming = false; // something is written or spoken; a clip of it is being made
let told = null, follows = false; // number of the last event; what comes next goes on from it
let lines = new Map();
let problem = null;   // why the server is about to close the connection

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

function rest(now) { // false: nothing is written or spoken any more
  busy = now;
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

function clipOver() {
  coming = false;
  if (part('note').textContent === words.clip_coming) say('');
  rest(false);
}

// ---- the connection

const heard = {
  ready(event) {
    kept.chat = event.chat;
    kept.secret = event.secret;
    keep();
    partner = event.partner;
    live = event.mode === 'live';
    part('partner').textContent = filled(partner.echo ? words.echo : words.partner, partner);
    if (follows) {
      follows = false;
      rest(busy);
    } else {
      told = event.next_event - 1;
      redraw(event);
    }
    if (event.idle) clips?.rest(event.idle);
    if ([words.preparing, words.lost].includes(part('note').textContent)) say(coming ? words.clip_coming : '');
    for (const message of unsent) send(message);
  },
  answer({ turn: number, message }) {
    unsent.shift();
    turn = number;
    clips?.drop();
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
    if (live || reason === 'end' || reason === 'length') { // it is spoken, or its latency follows
      coming = Boolean(clips && text && number === turn && unwanted < turn);
      if (coming) say(words.clip_coming);
      return;
    }
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
    if (event.first_picture_s === null && event.turn === turn && !coming) rest(false); // nothing of it is spoken
    const reached = Object.entries(LATENCY).filter(([name]) => event[name] !== null);
    part('latency').textContent = reached.map(([name, word]) => filled(words[word], { s: event[name].toFixed(2) })).join(' · ');
  },
  idle_ready({ url }) {
    if (url) clips?.rest(url);
  },
  video_ready({ turn: number, url, after_s: after }) {
    if (!clips || number !== turn || number <= unwanted || !url) return;
    part('latency').textContent += ` · ${filled(words.clip_after, { s: after.toFixed(2) })}`;
    clips.play(url);
  },
  error({ turn: number, error }) {
    const sentence = [error.message, error.hint].filter(Boolean).join(' ');
    if (number !== undefined) {
      remark(number, sentence);
      if (clips && number === turn) clipOver();
    } else {
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

const behind = () => ({ options: kept.options, background: kept.background }); // the person

function connect() {
  const binding = face?.binding || undefined;
  const first = kept.chat ? { type: 'resume', chat: kept.chat, secret: kept.secret, live: binding, ...(told === null ? {} : { event: told }) }
    : { type: 'start', ...(binding ? { mode: 'live', live: binding, voice: kept.voice }
      : clips ? { mode: 'clips', avatar: kept.avatar, ...behind(), voice: kept.voice, idle: true } : { mode: 'text' }) };
  bound = binding?.session;
  follows = Boolean(kept.chat) && told !== null;
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
    if ('event' in event) told = event.event;
    heard[event.type]?.(event);
  };
  here.onclose = ({ code }) => {
    if (here !== socket || !kept) return;
    button('stop').disabled = true;
    if (problem === 'UnknownChat') {
      kept.chat = kept.secret = undefined;
      told = null;
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
  part('microphone').textContent = speech.about;
  button('speak').hidden = !speech.possible;
  part('face').hidden = kept.mode === 'text';
  part('face').classList.toggle('th-chat-clips', kept.mode === 'clips');
  say(kept.mode === 'text' ? words.no_voices : words.preparing);
  if (kept.mode === 'clips') {
    clips = new Clips(videos, {
      began: () => {
        clipOver();
        rest(true);
      },
      ended: clipOver,
      blocked: () => say(words.muted),
      lost: () => {
        clipOver();
        say(words.clip_lost);
      },
    });
  }
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
  face = new Face(videos[0], { avatar: kept.avatar, lang: words.page }, {
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
    warned: (sentences) => { part('warned').textContent = sentences.join(' '); },
  }, behind(), words.notices);
}

function start(settings) {
  if (!settings) return;
  kept = JSON.parse(settings);
  keep();
  turn = unwanted = -1;
  told = null;
  coming = false;
  unsent = [];
  log.replaceChildren();
  part('partner').textContent = part('latency').textContent = part('warned').textContent = '';
  begin();
  field.focus();
}

function end() {
  speech.end();
  send({ type: 'close' });
  kept = null;
  keep();
  const closing = socket;
  socket = null;
  closing?.close();
  face?.end();
  clips?.end();
  face = clips = null;
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
  if (coming) interrupt(); // the video of an older answer would only keep the next one waiting
  const message = { type: 'message', text, id: crypto.randomUUID?.() || `${Date.now()}-${Math.random()}` };
  unsent.push(message);
  send(message);
}

function interrupt() {
  send({ type: 'interrupt' });
  if (!clips) return;
  unwanted = turn; // also where it is still being made
  clips.drop();
  if (coming) clipOver();
}

const speech = new Speech(button('speak'), words, {
  began: () => {
    if (!button('stop').disabled) interrupt();
  },
  over: () => (clips ? clips.speaks : live && busy),
  draft: (text) => { field.value = text; },
  words: submitText,
  say,
  saying: () => part('note').textContent,
  language: () => kept?.language || words.page,
});

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
button('anew').addEventListener('click', end);
for (const kind of ['pointerdown', 'keydown']) {
  document.addEventListener(kind, () => {
    for (const video of videos) video.muted = Boolean(video.dataset.rests);
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
    if (!face && !clips && !socket) begin();
  }).observe(panel);
}
