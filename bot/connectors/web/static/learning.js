// What CARE learned from this person, and whether it may. Knows nothing of conversations.

import * as api from "./api.js";
import { announce } from "./status.js";

const find = (id) => document.getElementById(id);

export class Learning {
  #allowed = true;

  constructor() {
    find("learning").addEventListener("click", () => this.#change());
  }

  async start(me) {
    this.#show(me.learning);
    for (const notice of await api.notices().catch(() => [])) this.#tell(notice);
  }

  #show(allowed) {
    this.#allowed = allowed;
    find("learning").hidden = false;
    find("learning").textContent = allowed ? "Do not learn from me" : "CARE does not learn from you. Change that";
  }

  async #change() {
    try {
      const { learning } = await api.setLearning(!this.#allowed);
      this.#show(learning);
      announce(learning ? "CARE may learn from you again." : "CARE does not learn from you any more.");
    } catch (error) {
      announce(`That was not saved: ${error.message}`);
      find("learning").textContent = "Not saved, try again";
    }
  }

  // It stays until it was read: closing it is what tells the server so.
  #tell(notice) {
    const entry = find("taught-template").content.firstElementChild.cloneNode(true);
    entry.querySelector("p").textContent = notice.text;
    entry.querySelector("button").addEventListener("click", async () => {
      await api.noticeSeen(notice.id).catch(() => {});
      entry.remove();
    });
    find("taught").append(entry);
  }
}
