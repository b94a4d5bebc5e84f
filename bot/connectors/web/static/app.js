// Starts the page and connects its parts.

import * as api from "./api.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { DeleteDialog } from "./deletion.js";
import { Drawer } from "./drawer.js";
import { Learning } from "./learning.js";
import { ConversationList } from "./list.js";
import { Follower } from "./scroll.js";
import { announce, StatusBar } from "./status.js";

const POLL_MS = 2000;
const CONVERSATION_ID = /^[\w-]{1,128}$/;
const OUTCOMES = { cancelled: "Stopped.", failed: "The answer failed." };
const find = (id) => document.getElementById(id);

class Page {
  #me = { ready: false };
  #current = null;
  #running = new Map(); // answers go on while the reader looks at another conversation

  constructor() {
    this.status = new StatusBar();
    this.drawer = new Drawer();
    this.composer = new Composer({ onSend: (text) => this.#ask(text), onStop: () => this.#stop() });
    this.deletion = new DeleteDialog({ onDeleted: (id) => this.#deleted(id) });
    this.list = new ConversationList({ onDelete: (entry) => this.deletion.ask(entry) });
    this.follower = new Follower(find("scroller"), find("column"), find("latest"));
    this.learning = new Learning();
    this.#wire();
  }

  async start() {
    await this.#meet();
    this.learning.start(this.#me);
    this.#route();
    this.composer.focus();
    this.list.refresh().then(() => this.#render());
    while (!this.#me.ready) {
      await pause();
      await this.#meet();
      this.#render();
    }
  }

  // Until the server has said who the person is nothing can be asked or rated.
  async #meet() {
    for (;;) {
      try {
        this.#me = await api.me();
        break;
      } catch (error) {
        this.status.show({ text: `${error.message} Trying again…`, isProblem: true });
        await pause();
      }
    }
    find("notice").textContent = this.#me.notice;
    find("model").textContent = this.#me.model ? `Model: ${this.#me.model}` : "";
  }

  #wire() {
    for (const id of ["new", "topbar-new"]) find(id).addEventListener("click", () => this.#new());
    find("conversations").addEventListener("click", (event) => this.#picked(event));
    find("skip").addEventListener("click", () => this.composer.field.focus());
    for (const example of document.querySelectorAll(".example")) {
      example.addEventListener("click", () => this.#try(example.dataset.question));
    }
    addEventListener("hashchange", () => this.#route());
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event) {
    if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
    if (this.drawer.isOpen) this.drawer.dismiss();
    else if (this.#current?.answering) this.#stop();
  }

  // The address does the rest, unless the one that is open already was picked.
  #picked(event) {
    if (!event.target.closest("a")) return;
    this.drawer.close();
    this.composer.focus();
  }

  #new() {
    this.drawer.close();
    location.hash = "";
    if (this.#current?.stored || this.#current?.answering) this.#open(this.#conversation(api.newId()));
    this.composer.focus();
  }

  #route() {
    const id = location.hash.slice(1);
    this.drawer.close();
    if (!CONVERSATION_ID.test(id)) {
      if (!this.#current || this.#current.stored) this.#open(this.#conversation(api.newId()));
    } else if (id !== this.#current?.id) this.#open(this.#running.get(id) ?? this.#load(id));
  }

  #conversation(id) {
    return new Conversation(id, { userId: this.#me.user_id, listener: this.#listener });
  }

  #load(id) {
    const conversation = this.#conversation(id);
    conversation.load();
    return conversation;
  }

  #open(conversation) {
    this.#current = conversation;
    find("conversation").replaceChildren(conversation.element);
    this.composer.open(draftKey(conversation));
    this.#render();
    if (conversation.empty) this.follower.toStart();
    else this.follower.toEnd();
  }

  #try(question) {
    if (this.#me.ready) this.#ask(question);
    else this.composer.text = question;
    this.composer.focus();
  }

  #ask(text) {
    if (this.#current.busy) return;
    announce("");
    if (text === this.composer.text.trim()) this.composer.text = "";
    this.#current.ask(text);
    this.follower.toEnd();
    this.composer.focus();
  }

  #stop() {
    this.#current.stop();
    this.composer.focus();
  }

  #deleted(id) {
    this.#running.get(id)?.close();
    this.#running.delete(id);
    if (this.#current.id === id) {
      this.#current.close();
      this.#new();
    }
    this.composer.forget(id);
    this.list.refresh();
    if (this.drawer.isOpen) find("new").focus();
    else this.composer.focus();
  }

  #listener = {
    changed: (conversation) => {
      if (conversation.answering) this.#running.set(conversation.id, conversation);
      else this.#running.delete(conversation.id);
      this.#render();
    },
    committed: (conversation) => {
      if (conversation === this.#current && location.hash !== `#${conversation.id}`) {
        history.pushState(null, "", `#${conversation.id}`);
        this.composer.moveTo(conversation.id);
      }
      this.list.refresh().then(() => this.#render());
    },
    finished: (conversation, turn) => {
      if (conversation === this.#current) announce(OUTCOMES[turn.status] ?? "The answer is complete.");
      this.list.refresh();
    },
    refused: (conversation, text) => this.composer.giveBack(draftKey(conversation), text),
    again: (conversation) => {
      if (conversation === this.#current) this.composer.form.requestSubmit();
      this.composer.focus();
    },
    retry: (conversation, view) => {
      conversation.ask(view.turn.question, view);
      this.follower.toEnd();
      this.composer.focus();
    },
    missing: (conversation) => {
      if (conversation !== this.#current) return;
      history.replaceState(null, "", location.pathname);
      const fresh = this.#conversation(api.newId());
      fresh.message = { text: "That conversation does not exist any more.", isProblem: true };
      this.#open(fresh);
    },
  };

  #render() {
    const conversation = this.#current;
    if (!conversation) return;
    const { ready } = this.#me;
    this.composer.show({ ready: ready && !conversation.loading, busy: conversation.answering });
    this.status.show(ready ? conversation.message : { text: "The model is starting…" });
    find("welcome").hidden = !conversation.empty;
    this.list.mark(conversation.id);
    const title = this.list.titleOf(conversation.id) ?? (conversation.firstQuestion || "New conversation");
    find("heading").textContent = title;
    document.title = `${title} – CARE`;
  }
}

function draftKey(conversation) {
  return conversation.stored ? conversation.id : "new";
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

new Page().start();
