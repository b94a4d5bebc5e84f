// The thumbs under one answer, and the form that asks what was wrong. Knows nothing about the turn but its id.

import * as api from "./api.js";

const NONE = { verdict: 0, reason: null, correction: null };

export class Rating {
  #saved = NONE;
  #saving = Promise.resolve();

  /** `say(text, isProblem)` tells the reader what became of the rating. */
  constructor(article, { userId, say }) {
    this.userId = userId;
    this.say = say;
    this.#find(article);
    this.up.addEventListener("click", () => this.#press(1));
    this.down.addEventListener("click", () => this.#press(-1));
    this.edit.addEventListener("click", () => this.#openForm());
    this.cancel.addEventListener("click", () => this.#cancelForm());
    this.form.addEventListener("submit", (event) => this.#submit(event));
    this.form.addEventListener("keydown", (event) => this.#onKey(event));
  }

  show({ id, rating }) {
    this.turnId = id;
    this.#saved = rating?.verdict ? rating : NONE; // of a withdrawn rating only the row is left
    this.#fillForm();
    this.#showThumbs(this.#saved.verdict);
    this.#showFeedback();
  }

  #find(article) {
    const find = (name) => article.querySelector(`[data-testid="${name}"]`);
    this.up = find("thumb-up");
    this.down = find("thumb-down");
    this.form = find("rating-form");
    this.cancel = find("cancel-rating");
    this.feedback = find("feedback");
    this.edit = find("edit-rating");
  }

  #press(verdict) {
    const withdraw = this.#shown() === verdict;
    const opens = verdict === -1 && !withdraw;
    if (opens) this.#openForm();
    else this.#closeForm();
    return this.#save({ ...NONE, verdict: withdraw ? 0 : verdict });
  }

  async #submit(event) {
    event.preventDefault();
    const { reason, correction } = this.form.elements;
    const rating = { verdict: -1, reason: reason.value || null, correction: correction.value.trim() || null };
    if (!(await this.#save(rating))) return;
    this.#closeForm();
    this.down.focus();
  }

  // One request at a time, in the order of the clicks: the last word must be the one that stays.
  #save(rating) {
    this.say("");
    this.#showThumbs(rating.verdict);
    this.#saving = this.#saving.then(() => this.#send(rating));
    return this.#saving;
  }

  async #send(rating) {
    try {
      await api.rate({ turn_id: this.turnId, user_id: this.userId, ...rating });
    } catch (error) {
      this.#showThumbs(this.#saved.verdict);
      if (this.#saved.verdict !== -1 && !this.form.elements.correction.value) this.#closeForm();
      this.say(`Your rating was not saved. ${error.message}`, true);
      return false;
    }
    this.#saved = rating;
    this.#showThumbs(rating.verdict);
    this.#showFeedback();
    this.say(rating.verdict ? "Thanks, saved." : "Rating withdrawn.");
    return true;
  }

  #shown() {
    if (this.up.ariaPressed === "true") return 1;
    return this.down.ariaPressed === "true" ? -1 : 0;
  }

  #showThumbs(verdict) {
    this.up.ariaPressed = String(verdict === 1);
    this.down.ariaPressed = String(verdict === -1);
  }

  #showFeedback() {
    const { reason, correction } = this.#saved;
    this.feedback.querySelector(".feedback-reason").textContent = reason ? `You said: ${reason}.` : "";
    this.feedback.querySelector(".feedback-correction").textContent = correction ? `Your correction: ${correction}` : "";
    this.feedback.hidden = !this.form.hidden || !(reason || correction);
  }

  #fillForm() {
    const { reason, correction } = this.form.elements;
    const given = this.#saved.reason ?? "";
    if (![...reason.options].some((option) => option.value === given)) reason.add(new Option(given));
    reason.value = given;
    correction.value = this.#saved.correction ?? "";
  }

  #openForm() {
    this.form.hidden = false;
    this.#showFeedback();
    this.form.elements.reason.focus();
    this.form.scrollIntoView({ block: "nearest" });
  }

  #closeForm() {
    this.form.hidden = true;
    this.#showFeedback();
  }

  #cancelForm() {
    this.#fillForm();
    this.#closeForm();
    this.down.focus();
  }

  #onKey(event) {
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation(); // elsewhere Esc stops the answer
    this.#cancelForm();
  }
}
