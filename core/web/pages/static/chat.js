// The conversation of the Chat tab (docs/chat.md): what was said as text (chat_log.js), the face above it, the keyboard, and speech,
// which speech.js hears, over one connection (chat_socket.js). A reload goes on with the conversation. Gradio runs this once when the
// component appears, with `element`.

const KEPT = 'talking-head-chat';
const LATENCY = { first_token_s: 'first_word', first_sentence_s: 'first_sentence', first_sound_s: 'first_sound', first_picture_s: 'first_picture' };

const panel = element.querySelector('.th-chat');
const words = JSON.parse(panel.dataset.words);
const part = (name) => panel.querySelector(`.th-chat-${name}`);
const button = (name) => panel.querySelector(`[data-do=${name}]`);
const log = new ChatLog(part('log'), words), field = panel.querySelector('textarea'), videos = [...panel.querySelectorAll('video')];
const say = (sentence) => { part('note').textContent = sentence; };

let kept = null;      // what a reload needs: how it was started, and the conversation
let face = null, clips = null, live = false;
let turn = -1, unwanted = -1; // the last answer, and that of which no clip is shown any more
let busy = false, coming = false; // something is written or spoken; a clip of it is being made

function keep() {
  try {
    if (kept) sessionStorage.setItem(KEPT, JSON.stringify(kept));
    else sessionStorage.removeItem(KEPT);
  } catch { /* the browser keeps nothing here: a reload begins anew */ }
}

// ---- what is shown

function rest(now) { // false: nothing is written or spoken any more
  busy = now;
  log.busy = busy;
  button('stop').disabled = !busy;
}

function redraw(ready) {
  log.clear();
  for (const { turn: number, role, text } of ready.messages) {
    turn = Math.max(turn, number);
    if (role === 'user') log.asked(text);
    else log.write(number, text);
  }
  if (ready.answering) {
    turn = ready.answering.turn;
    log.write(turn, ready.answering.text);
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
    log.partner = event.partner.name;
    live = event.mode === 'live';
    part('partner').textContent = filled(event.partner.echo ? words.echo : words.partner, event.partner);
    if (link.ready(event)) rest(busy);
    else redraw(event);
    if (event.idle) clips?.rest(event.idle);
    if ([words.preparing, words.lost].includes(part('note').textContent)) say(coming ? words.clip_coming : '');
    link.sendAgain();
  },
  answer({ turn: number, message }) {
    link.unsent.shift();
    turn = number;
    clips?.drop();
    log.asked(message);
    log.write(number, '');
    rest(true);
    part('latency').textContent = '';
  },
  text({ turn: number, text }) {
    log.add(number, text);
  },
  answer_done({ turn: number, text, reason }) {
    if (!live || reason !== 'interrupted') log.write(number, text); // else `cut` told what was spoken of it
    if (reason === 'length') log.remark(number, words.cut_off);
    log.busy = false; // it is whole, and is read out
    if (live || reason === 'end' || reason === 'length') { // it is spoken, or its latency follows
      coming = Boolean(clips && text && number === turn && unwanted < turn);
      if (coming) say(words.clip_coming);
      return;
    }
    if (reason === 'interrupted') log.remark(number, words.interrupted);
    if (number === turn) rest(false);
  },
  spoken({ turn: number }) {
    if (number === turn) rest(false);
  },
  cut({ turn: number, text }) {
    log.write(number, text);
    log.remark(number, words.interrupted);
    if (number === turn) rest(false);
  },
  latency(event) {
    if (event.first_picture_s === null && event.turn === turn && !coming) rest(false); // nothing of it is spoken
    const reached = Object.entries(LATENCY).filter(([name]) => event[name] !== null);
    part('latency').textContent = reached.map(([name, word]) => filled(words[word], { s: window.talkingHeadFixed(event[name], 2) })).join(' · ');
  },
  idle_ready({ url }) {
    if (url) clips?.rest(url);
  },
  video_ready({ turn: number, url, after_s: after }) {
    if (!clips || number !== turn || number <= unwanted || !url) return;
    part('latency').textContent += ` · ${filled(words.clip_after, { s: window.talkingHeadFixed(after, 2) })}`;
    clips.play(url);
  },
  error({ turn: number, error }) {
    const sentence = [error.message, error.hint].filter(Boolean).join(' ');
    if (number !== undefined) {
      log.remark(number, sentence);
      if (clips && number === turn) clipOver();
    } else {
      const refused = link.unsent.shift();
      if (refused && !field.value) field.value = refused.text;
      say(sentence);
    }
  },
};

const behind = () => ({ options: kept.options, background: kept.background }); // the person

const link = new ChatSocket(words, (binding) => {
  if (binding) return { type: 'start', mode: 'live', live: binding, voice: kept.voice };
  if (!clips) return { type: 'start', mode: 'text' };
  return { type: 'start', mode: 'clips', avatar: kept.avatar, ...behind(), voice: kept.voice, idle: true };
}, {
  chat: () => kept || {},
  binding: () => face?.binding || undefined,
  heard: (event) => heard[event.type]?.(event),
  unknown: () => { kept.chat = kept.secret = undefined; },
  lost: () => say(words.lost),
  closed: () => { button('stop').disabled = true; },
});

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
    link.connect();
    return;
  }
  const textOnly = (sentence) => {
    face = null;
    part('face').hidden = true;
    link.connect();
    say(`${words.no_video} ${sentence || words.no_face}`);
  };
  face = new Face(videos[0], { avatar: kept.avatar, lang: words.page }, {
    ready: () => {
      if (part('note').textContent === words.lost) say('');
      if (!link.socket || link.bound !== face.binding.session) link.connect(); // with the session that is there now
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
  coming = false;
  link.forget();
  log.clear();
  part('partner').textContent = part('latency').textContent = part('warned').textContent = '';
  begin();
  field.focus();
}

function end() {
  speech.end();
  link.send({ type: 'close' });
  kept = null;
  keep();
  link.end();
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
  link.ask(message);
}

function interrupt() {
  link.send({ type: 'interrupt' });
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
    if (!face && !clips && !link.socket) begin();
  }).observe(panel);
}
