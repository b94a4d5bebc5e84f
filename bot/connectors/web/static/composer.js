// The box a question is typed into, with its Send and Stop buttons. Drafts outlive a reload and a login.

export class Composer {
  #key = "";
  #ready = false;
  #busy = false;

  constructor({ onSend, onStop }) {
    this.form = document.getElementById("composer");
    this.field = document.getElementById("question");
    this.sendButton = document.getElementById("send");
    this.stopButton = document.getElementById("stop");
    this.onSend = onSend;
    this.form.addEventListener("submit", (event) => this.#submit(event));
    this.field.addEventListener("input", () => this.#changed());
    this.field.addEventListener("keydown", (event) => this.#onKey(event));
    this.stopButton.addEventListener("click", onStop);
    new ResizeObserver(() => this.#grow()).observe(this.form);
  }

  get text() {
    return this.field.value;
  }

  set text(text) {
    this.field.value = text;
    this.#changed();
  }

  /** Switches to the draft kept under this key. */
  open(key) {
    this.#key = key;
    this.text = sessionStorage.getItem(slot(key)) ?? "";
    this.field.disabled = false; // not before: the draft would replace what is typed
  }

  /** Goes on with the same text under another key. */
  moveTo(key) {
    sessionStorage.removeItem(slot(this.#key));
    this.#key = key;
    this.#changed();
  }

  /** Returns a text that could not be sent, ahead of what has been typed since. */
  giveBack(key, text) {
    if (key === this.#key) this.text = join(text, this.text);
    else sessionStorage.setItem(slot(key), join(text, sessionStorage.getItem(slot(key))));
  }

  forget(key) {
    sessionStorage.removeItem(slot(key));
  }

  show({ ready, busy }) {
    this.#ready = ready;
    this.#busy = busy;
    this.stopButton.hidden = !busy;
    this.sendButton.hidden = busy;
    this.#enable();
  }

  /** On a touch screen focus would raise the keyboard over the answer. */
  focus() {
    if (matchMedia("(pointer: coarse)").matches) return;
    this.field.focus();
  }

  #submit(event) {
    event.preventDefault();
    if (this.#ready && !this.#busy && this.text.trim()) this.onSend(this.text.trim());
  }

  #onKey(event) {
    // 229: Safari ends a composition before the Enter that chose the word.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  #changed() {
    this.#grow();
    this.#enable();
    if (this.text) sessionStorage.setItem(slot(this.#key), this.text);
    else sessionStorage.removeItem(slot(this.#key));
  }

  #enable() {
    this.sendButton.disabled = !this.#ready || this.#busy || !this.text.trim();
  }

  #grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }
}

const slot = (key) => `care-draft-${key}`;

const join = (first, second) => [first, second].filter(Boolean).join("\n");
