// Asks before a conversation is deleted, and deletes it.

import * as api from "./api.js";

export class DeleteDialog {
  #entry = null;

  constructor({ onDeleted }) {
    this.dialog = document.getElementById("delete-dialog");
    this.title = document.getElementById("delete-title");
    this.problem = document.getElementById("delete-problem");
    this.button = document.getElementById("confirm-delete");
    this.onDeleted = onDeleted;
    this.button.addEventListener("click", () => this.#confirm());
    document.getElementById("keep").addEventListener("click", () => this.dialog.close());
  }

  ask(entry) {
    this.#entry = entry;
    this.title.textContent = `“${entry.title}”`;
    this.problem.textContent = "";
    this.dialog.showModal();
  }

  async #confirm() {
    this.button.disabled = true;
    try {
      await api.deleteConversation(this.#entry.id);
    } catch (error) {
      this.problem.textContent = `It was not deleted. ${error.message}`;
      return;
    } finally {
      this.button.disabled = false;
    }
    this.dialog.close();
    this.onDeleted(this.#entry.id);
  }
}
