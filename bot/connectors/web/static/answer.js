// The body of one answer while it grows. Knows nothing about turns or their status.

const HOLDS_THE_TAIL = new Set(["P", "UL", "OL", "LI", "BLOCKQUOTE", "PRE", "H1", "H2", "H3", "H4", "H5", "H6"]);

export class Answer {
  #element;
  #html = "";
  #tail = null;
  #space = ""; // white space waits for the word after it: HTML in between would drop it

  constructor(element) {
    this.#element = element;
  }

  /** Shows HTML the server has already sanitised, in place of all that is there. */
  setHtml(html) {
    if (html === this.#html && !this.#tail) return; // keeps the reader's selection
    this.#html = html;
    this.#tail = null;
    this.#element.innerHTML = html;
    dress(this.#element);
  }

  setText(text) {
    this.setHtml("");
    this.#space = "";
    if (text) this.addPiece(text);
  }

  /** Appends plain text. */
  addPiece(text) {
    const grown = this.#space + text;
    const words = grown.trimEnd();
    this.#space = grown.slice(words.length);
    if (!words) return;
    this.#tail ??= this.#startTail();
    this.#tail.appendData(words);
  }

  #startTail() {
    const span = document.createElement("span");
    span.className = "tail";
    const text = span.appendChild(document.createTextNode(""));
    lastBlock(this.#element).append(span);
    return text;
  }
}

// New text goes on inside the last paragraph: as a block of its own it would jump up with the next HTML.
function lastBlock(element) {
  const last = element.lastElementChild;
  if (last?.tagName === "CODE" && element.tagName === "PRE") return last;
  return last && HOLDS_THE_TAIL.has(last.tagName) ? lastBlock(last) : element;
}

function dress(element) {
  for (const link of element.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const block of element.querySelectorAll("pre")) block.tabIndex = 0; // scrolls by keyboard
  for (const table of element.querySelectorAll("table")) table.replaceWith(scrollable(table));
}

function scrollable(table) {
  const frame = document.createElement("div");
  frame.className = "table-frame";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Table");
  frame.append(table.cloneNode(true));
  return frame;
}
