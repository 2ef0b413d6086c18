// What a visitor says to the Chat tab: recognised by the service of the server, for which the microphone stays open from one press of the
// button to the next, or else by the browser itself, a sentence for each press.

const Recognition = window.SpeechRecognition || window.webkitSpeechRecognition;
const MICROPHONE_FAILS = {
  NotAllowedError: 'microphone_denied', NotFoundError: 'microphone_missing', SecurityError: 'microphone_insecure',
};
const RECOGNITION_FAILS = {
  'not-allowed': 'microphone_denied', 'service-not-allowed': 'recognition_failed', 'audio-capture': 'microphone_missing',
  'no-speech': 'not_heard', aborted: '',
};

class Speech {
  // on: began() when somebody begins to speak, over() whether the face speaks just now, draft(words) while they are recognised,
  // words(words) of what was said, say(sentence) and saying() of what the visitor is told. language: BCP 47 of what is said, by `on`.
  constructor(button, words, on) {
    Object.assign(this, { button, words, on, microphone: null, recognition: null, recognising: Promise.resolve(), conversation: 0 });
    button.addEventListener('click', () => (words.service ? this.toggle() : this.once()));
  }

  get possible() {
    return Boolean(this.words.service || Recognition);
  }

  get about() {
    return this.words.service ? this.words.microphone_service : Recognition ? this.words.microphone : this.words.no_microphone;
  }

  // Of what was said, nothing is told any more.
  end() {
    this.conversation += 1;
    this.recognition?.abort();
    this.close();
  }

  // ---- by the service

  async toggle() {
    if (this.microphone) {
      this.close();
      return;
    }
    const pressed = this.microphone = { close() {} }; // until the visitor has allowed it
    this.press(true);
    try {
      const opened = await Voice.open({
        began: this.on.began,
        spoken: (recording) => {
          const { conversation } = this;
          this.recognising = this.recognising.then(() => this.recognise(recording, conversation));
        },
        dropped() {},
        lost: () => {
          this.close();
          this.on.say(this.words.microphone_missing);
        },
      }, this.on.over);
      if (this.microphone !== pressed) opened.close();
      else {
        this.microphone = opened;
        this.on.say(this.words.listening);
      }
    } catch (error) {
      if (this.microphone !== pressed) return;
      this.close();
      this.on.say(this.words[MICROPHONE_FAILS[error.name] || 'microphone_missing']);
    }
  }

  close() {
    const open = this.microphone;
    this.microphone = null;
    open?.close();
    this.press(false);
    if (this.on.saying() === this.words.listening) this.on.say('');
  }

  async recognise(recording, conversation) {
    const tell = (sentence) => conversation === this.conversation && this.on.say(sentence);
    tell(this.words.recognising);
    try {
      const address = new URL('talking_head_recognition', document.baseURI);
      address.search = new URLSearchParams({ language: this.on.language(), lang: this.words.page });
      const answer = await fetch(address, { method: 'POST', body: recording, headers: { 'Content-Type': 'application/octet-stream' } });
      const { text, error } = await answer.json();
      if (text && conversation === this.conversation) this.on.words(text);
      tell(error ? error.message : !text ? this.words.not_heard : this.microphone ? this.words.listening : '');
    } catch {
      tell(this.words.recognition_lost);
    }
  }

  // ---- by the browser

  once() {
    if (this.recognition) {
      this.recognition.stop();
      return;
    }
    const { words, on } = this, recognition = this.recognition = new Recognition();
    let failed = false, said = '', whole = false;
    recognition.lang = on.language();
    recognition.interimResults = true;
    recognition.onspeechstart = on.began;
    recognition.onresult = ({ results }) => {
      said = [...results].map((each) => each[0].transcript).join('');
      whole = results[results.length - 1].isFinal;
      on.draft(said);
    };
    recognition.onerror = ({ error }) => {
      failed = true;
      on.say(words[RECOGNITION_FAILS[error] ?? 'recognition_failed'] || '');
    };
    recognition.onend = () => {
      this.recognition = null;
      this.press(false);
      if (!failed) on.say('');
      if (!whole || !said.trim()) return;
      on.draft('');
      on.words(said.trim());
    };
    this.press(true);
    on.say(words.listening);
    try {
      recognition.start();
    } catch {
      recognition.onerror({ error: 'unknown' });
      recognition.onend();
    }
  }

  press(on) {
    this.button.setAttribute('aria-pressed', String(on));
  }
}
