// The list of a person's conversations in the sidebar.

import * as api from "./api.js";

const DAY_MS = 24 * 60 * 60 * 1000;

export class ConversationList {
  #entries = [];
  #current = "";

  constructor({ onDelete }) {
    this.element = document.getElementById("conversations");
    this.note = document.getElementById("no-conversations");
    this.template = document.getElementById("conversation-template");
    this.onDelete = onDelete;
  }

  async refresh() {
    try {
      this.#entries = await api.conversations();
    } catch (error) {
      this.#hint(`The list could not be loaded. ${error.message}`);
      return;
    }
    this.#render();
  }

  mark(id) {
    if (id === this.#current) return;
    this.#current = id;
    this.#render();
  }

  titleOf(id) {
    return this.#entries.find((entry) => entry.id === id)?.title;
  }

  #render() {
    const focused = this.#focused();
    const groups = Map.groupBy(this.#entries, groupOf);
    this.element.replaceChildren(...[...groups].flatMap(([name, entries]) => this.#group(name, entries)));
    this.#hint(this.#entries.length ? "" : "Your conversations will be listed here.");
    if (focused) this.element.querySelector(focused)?.focus();
  }

  // The list is rebuilt under the reader's hands: where was the focus?
  #focused() {
    const active = document.activeElement;
    if (!this.element.contains(active) || active === this.element) return null;
    const id = CSS.escape(active.closest("li").dataset.conversationId);
    return `li[data-conversation-id="${id}"] ${active.localName}`;
  }

  #group(name, entries) {
    const heading = document.createElement("h2");
    heading.textContent = name;
    const list = document.createElement("ul");
    list.append(...entries.map((entry) => this.#item(entry)));
    return [heading, list];
  }

  #item(entry) {
    const item = this.template.content.firstElementChild.cloneNode(true);
    item.dataset.conversationId = entry.id;
    const link = item.querySelector("a");
    link.href = `#${entry.id}`;
    link.title = `${entry.title}\n${written(entry.updated_at)}`;
    if (entry.id === this.#current) link.setAttribute("aria-current", "page");
    item.querySelector(".conversation-title").textContent = entry.title;
    const remove = item.querySelector("button");
    remove.setAttribute("aria-label", `Delete: ${entry.title}`);
    remove.title = "Delete";
    remove.addEventListener("click", () => this.onDelete(entry));
    return item;
  }

  #hint(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }
}

function groupOf(entry) {
  const age = new Date().setHours(0, 0, 0, 0) - new Date(entry.updated_at);
  if (age <= 0) return "Today";
  return age <= 7 * DAY_MS ? "Last 7 days" : "Earlier";
}

function written(iso) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}
