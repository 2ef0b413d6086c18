// What was said in a conversation, as text. All that comes from the model is shown as text.

const MOST_LINES = 200;

class ChatLog {
  // node: holds the lines. words: of the page.
  constructor(node, words) {
    Object.assign(this, { node, words, answers: new Map() });
    this.partner = ''; // what the answers are headed with
  }

  clear() {
    this.node.replaceChildren();
    this.answers = new Map();
  }

  line(who, text, kind) {
    const node = document.createElement('div'), name = document.createElement('b'), said = document.createElement('p');
    node.className = `th-chat-line th-chat-${kind}`;
    name.textContent = who;
    said.textContent = text;
    node.append(name, said);
    this.node.append(node);
    while (this.node.childElementCount > MOST_LINES) this.node.firstElementChild.remove();
    this.toEnd();
    return node;
  }

  // Of the visitor.
  asked(text) {
    this.line(this.words.you, text, 'user');
  }

  // Of the answer of a turn: all of it so far.
  write(turn, text) {
    if (!this.answers.has(turn)) this.answers.set(turn, this.line(this.partner, '', 'answer'));
    this.answers.get(turn).querySelector('p').textContent = text;
    this.toEnd();
  }

  // Some more of it.
  add(turn, text) {
    this.write(turn, (this.answers.get(turn)?.querySelector('p').textContent || '') + text);
  }

  // Something about the answer of a turn, or about none.
  remark(turn, sentence) {
    const beside = this.answers.get(turn);
    const node = document.createElement('small');
    node.textContent = sentence;
    if (beside) beside.append(node);
    else this.line('', sentence, 'problem');
    this.toEnd();
  }

  // true: more is written or read out.
  set busy(now) {
    this.node.setAttribute('aria-busy', String(now));
  }

  toEnd() {
    this.node.scrollTop = this.node.scrollHeight;
  }
}
