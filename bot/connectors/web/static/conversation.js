// One conversation: asks, follows the answers to their end, and survives a broken connection.
// Knows nothing about the composer, the list or the address bar; it tells its listener.

import * as api from "./api.js";
import { BrokenStream } from "./events.js";
import { isUnfinished, TurnView } from "./turns.js";

const POLL_MS = 2000;
const SILENCE_MS = 30_000;

export class Conversation {
  #views = []; // of the turns, in their order
  #attempts = new Map(); // by view: questions the server has not confirmed yet
  #failed = null;
  #closing = new AbortController();

  /** The listener has changed, committed, finished, refused, again and missing, each called with this conversation. */
  constructor(id, { userId, listener }) {
    this.id = id;
    this.userId = userId;
    this.listener = listener;
    this.stored = false; // does the server know it?
    this.loading = false;
    this.message = { text: "" };
    this.element = document.createElement("div");
    this.element.className = "turns";
  }

  get answering() {
    return this.#running() !== undefined;
  }

  get busy() {
    return this.loading || this.answering;
  }

  get empty() {
    return !this.loading && this.#views.length === 0;
  }

  get firstQuestion() {
    return this.#views[0]?.turn.question ?? "";
  }

  async load() {
    this.stored = this.loading = true;
    this.#say("Loading the conversation…");
    let turns;
    try {
      turns = await api.turnsOf(this.id);
    } catch (error) {
      if (this.#closed) return;
      if (error.status === 404) this.listener.missing(this);
      else this.#say(error.message, { isProblem: true, again: () => this.load() });
      return;
    }
    this.loading = false;
    this.#sync(turns);
    this.#say(this.answering ? "Waiting for the answer…" : "");
    await this.#poll();
  }

  /** Asks; `replaced` is the view of the turn whose answer the new one takes the place of. */
  async ask(text, replaced = null) {
    if (this.busy) return;
    const attempt = this.#attempt(text, replaced);
    const view = this.#show(attempt);
    const stream = new AbortController();
    const signal = AbortSignal.any([this.#closing.signal, stream.signal]);
    let events;
    try {
      events = await api.ask(this.id, { id: attempt.id, text, replaces: replaced?.id ?? null }, signal);
    } catch (error) {
      if (!this.#closed) this.#refuse(view, error);
      return;
    }
    await this.#follow(view, events, stream);
  }

  async stop() {
    const view = this.#running();
    if (!view) return;
    const attempt = this.#attempts.get(view);
    if (attempt) {
      attempt.stop = true; // the server may not have it yet: stopped as soon as it has
      return;
    }
    try {
      await api.stop(view.id);
    } catch (error) {
      this.#say(`The answer could not be stopped. ${error.message}`, { isProblem: true });
    }
  }

  close() {
    this.#closing.abort();
  }

  get #closed() {
    return this.#closing.signal.aborted;
  }

  #running() {
    return this.#views.find((view) => view.unfinished);
  }

  // The same question after a failure goes out under its old id: should the server have it, it is answered once.
  #attempt(text, replaced) {
    const last = this.#failed;
    const same = last && last.text === text && last.replaced === replaced;
    return { id: same ? last.id : api.newId(), text, replaced, stop: false };
  }

  #show(attempt) {
    if (attempt.replaced) attempt.replaced.article.hidden = true;
    const view = this.#add({ id: attempt.id, question: attempt.text, status: "received" });
    this.#attempts.set(view, attempt);
    this.#say("");
    return view;
  }

  #add(turn) {
    const view = new TurnView(turn, { userId: this.userId, onRetry: (old) => this.listener.retry(this, old) });
    this.#views.push(view);
    this.element.append(view.article);
    return view;
  }

  #drop(view) {
    view.article.remove();
    this.#views = this.#views.filter((other) => other !== view);
  }

  async #follow(view, events, stream) {
    const guard = this.#guard(view, stream);
    try {
      for await (const { name, data } of events) {
        view.heardAt = Date.now();
        this.#take(view, name, data);
        if (!view.unfinished) return;
      }
    } catch (error) {
      if (!(error instanceof BrokenStream)) throw error;
    } finally {
      clearInterval(guard);
    }
    if (this.#closed) return;
    await this.#recover(view);
  }

  async #recover(view) {
    if (this.#attempts.has(view)) {
      this.#refuse(view, new api.Unreachable("The connection was lost. Your question may not have arrived."));
      return;
    }
    this.#say("Connection lost, waiting for the answer…");
    await this.#poll();
  }

  #take(view, name, data) {
    if (name === "turn" || name === "done") this.#arrive(view, data);
    else if (name === "piece") view.addPiece(data.text);
    else if (name === "html") view.setHtml(data.html);
  }

  #arrive(view, turn) {
    view.show(turn);
    if (this.#attempts.has(view)) this.#commit(view);
    if (view.unfinished) return;
    this.#say("");
    this.listener.finished(this, turn);
  }

  #commit(view) {
    const attempt = this.#attempts.get(view);
    this.#attempts.delete(view);
    this.#failed = null;
    this.stored = true;
    if (attempt.replaced) this.#drop(attempt.replaced);
    this.listener.committed(this);
    if (attempt.stop) this.stop();
  }

  // A sleeping laptop or a dead network can leave a stream silent for ever, without an error.
  #guard(view, stream) {
    view.heardAt = Date.now();
    return setInterval(async () => {
      if (Date.now() - view.heardAt < SILENCE_MS) return;
      view.heardAt = Date.now();
      const turns = await api.turnsOf(this.id).catch(() => []);
      const goesOn = turns.some((turn) => turn.id === view.id && isUnfinished(turn));
      if (!goesOn) stream.abort();
    }, POLL_MS);
  }

  async #poll() {
    while (this.answering && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const turns = await api.turnsOf(this.id).catch((error) => (error.status === 404 ? [] : null));
      if (turns && !this.#closed) this.#sync(turns);
    }
  }

  // Brings the screen to what the server has. Finished turns are left alone: their rating form may be open.
  #sync(turns) {
    const known = new Set(turns.map((turn) => turn.id));
    for (const view of this.#views) {
      if (!known.has(view.id)) this.#lose(view);
    }
    for (const turn of turns) {
      const view = this.#views.find((one) => one.id === turn.id);
      if (!view) this.#add(turn);
      else if (view.unfinished) this.#arrive(view, turn);
    }
    this.listener.changed(this);
  }

  #lose(view) {
    this.#drop(view);
    if (view.unfinished) this.#say("That question was deleted elsewhere.", { isProblem: true });
  }

  #refuse(view, error) {
    const attempt = this.#attempts.get(view);
    const { replaced, text } = attempt;
    this.#attempts.delete(view);
    this.#drop(view);
    this.#failed = attempt;
    if (replaced) replaced.article.hidden = false;
    else this.listener.refused(this, text);
    const again = replaced ? () => this.ask(text, replaced) : () => this.listener.again(this);
    const wait = error.status === 429 && error.retryAfter ? ` Expected wait: about ${error.retryAfter} s.` : "";
    this.#say(error.message + wait, { isProblem: true, again: error.worthRepeating ? again : null });
  }

  #say(text, { isProblem = false, again = null } = {}) {
    this.message = { text, isProblem, again };
    for (const view of this.#views) view.allowRetry(!this.busy);
    this.listener.changed(this);
  }
}
