// Shows one turn: the question, its answer, what became of it, and what can be done with it.

import { Answer } from "./answer.js";
import { copy } from "./clipboard.js";
import { Rating } from "./rating.js";

const UNFINISHED = new Set(["received", "answering"]);
const RATED = new Set(["answered", "delivered"]);
const SAID_MS = 8000;

export const isUnfinished = (turn) => UNFINISHED.has(turn.status);

export class TurnView {
  #timer = 0;

  constructor(turn, { userId, onRetry }) {
    const template = document.getElementById("turn-template");
    this.article = template.content.firstElementChild.cloneNode(true);
    this.answer = new Answer(this.#find("answer"));
    this.rating = new Rating(this.article, { userId, say: (text, bad) => this.#say(text, bad) });
    this.#find("copy").addEventListener("click", () => this.#copy());
    this.#find("retry").addEventListener("click", () => onRetry(this));
    this.show(turn);
  }

  get id() {
    return this.turn.id;
  }

  get unfinished() {
    return isUnfinished(this.turn);
  }

  show(turn) {
    this.turn = turn;
    this.article.dataset.turnId = turn.id;
    this.article.dataset.status = turn.status;
    this.article.querySelector(".question").textContent = turn.question;
    this.#showAnswer();
    this.#showOutcome();
    this.#showActions();
    this.rating.show(turn);
  }

  addPiece(text) {
    this.#begin();
    this.answer.addPiece(text);
  }

  setHtml(html) {
    this.#begin();
    this.answer.setHtml(html);
  }

  allowRetry(allowed) {
    this.#find("retry").disabled = !allowed;
  }

  #begin() {
    this.turn.status = this.article.dataset.status = "answering";
  }

  // An unfinished turn may come without the pieces that are on the screen already: those stay.
  #showAnswer() {
    const { html, answer } = this.turn;
    if (html) this.answer.setHtml(html);
    else if (answer || !this.unfinished) this.answer.setText(answer ?? "");
  }

  #showOutcome() {
    const { status, error } = this.turn;
    let outcome = "";
    if (status === "cancelled") outcome = "Stopped.";
    if (status === "failed") outcome = error || "The answer failed.";
    this.#find("outcome").textContent = outcome;
  }

  #showActions() {
    const { status, answer } = this.turn;
    this.article.querySelector(".actions").hidden = this.unfinished;
    this.article.querySelector(".thumbs").hidden = !RATED.has(status);
    this.#find("copy").hidden = !answer;
  }

  async #copy() {
    const copied = await copy(this.turn.answer);
    this.#say(copied ? "Copied." : "Copying is not allowed here. Select the text instead.", !copied);
  }

  #say(text, isProblem = false) {
    const said = this.#find("turn-status");
    said.textContent = text;
    said.classList.toggle("problem", isProblem);
    clearTimeout(this.#timer);
    if (!isProblem) this.#timer = setTimeout(() => (said.textContent = ""), SAID_MS);
  }

  #find(name) {
    return this.article.querySelector(`[data-testid="${name}"]`);
  }
}
