// The line above the composer that says what is going on, and offers to try again.

export class StatusBar {
  #again = null;

  constructor() {
    this.bar = document.getElementById("status-bar");
    this.line = document.getElementById("status");
    this.button = document.getElementById("again");
    this.button.addEventListener("click", () => this.#again?.());
  }

  show({ text, isProblem = false, again = null }) {
    // Writing the same words again would make a screen reader repeat them.
    if (this.line.textContent !== text) this.line.textContent = text;
    this.bar.classList.toggle("problem", isProblem);
    this.#again = again;
    this.button.hidden = !again;
  }
}

/** Says something to screen readers only. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
