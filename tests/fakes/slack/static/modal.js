// Modals and confirmation dialogs.

import { blocks, entered } from "./blocks.js";
import { act, h } from "./dom.js";

const modal = document.getElementById("modal");
const question = document.getElementById("confirm");
let shown = null; // the view that is open

const close = (label, run) => h("button", { type: "button", class: "icon", "aria-label": label, onclick: run }, "✕");

export function showView(view, world) {
  if (!view.open) {
    if (shown?.id === view.id) hide();
    return;
  }
  if (shown?.hash === view.hash) return complainInside(view.errors);
  shown = view;
  const context = { me: world.me, names: world.names, confirm: ask, place: { view: view.id } };
  const leave = () => act({ do: "close", view: view.id });
  modal.replaceChildren(h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      complainInside({});
      event.submitter.disabled = true;
      await act({ do: "submit", view: view.id, values: entered(modal) });
      event.submitter.disabled = false;
    },
  },
  h("header", {}, h("h2", { id: "modal-title" }, view.title.text), close("Close", leave)),
  h("div", { class: "modal-body" }, blocks(view.blocks, context)),
  h("footer", {}, h("button", { type: "button", class: "button", onclick: leave }, view.close?.text ?? "Cancel"),
    view.submit ? h("button", { class: "button primary" }, view.submit.text) : null)));
  if (!modal.open) modal.showModal();
  (modal.querySelector("[autofocus]") ?? modal.querySelector("textarea, input, select") ?? modal.querySelector("footer button")).focus();
  complainInside(view.errors);
}

function hide() {
  shown = null;
  modal.close();
}

function complainInside(errors) {
  for (const place of modal.querySelectorAll("[data-error-for]")) place.textContent = errors[place.dataset.errorFor] ?? "";
}

modal.addEventListener("cancel", (event) => {
  event.preventDefault();
  if (shown) act({ do: "close", view: shown.id });
});

// A button's own "are you sure": whether somebody is.
export function ask(dialog) {
  return new Promise((resolve) => {
    const answer = (sure) => { question.close(); resolve(sure); };
    question.replaceChildren(
      h("header", {}, h("h2", { id: "confirm-title" }, dialog.title.text), close("Close", () => answer(false))),
      h("div", { class: "modal-body" }, h("p", {}, dialog.text.text)),
      h("footer", {}, h("button", { type: "button", class: "button", onclick: () => answer(false) }, dialog.deny.text),
        h("button", { type: "button", class: `button ${dialog.style ?? "primary"}`, onclick: () => answer(true) }, dialog.confirm.text)));
    question.oncancel = () => resolve(false);
    question.showModal();
    question.querySelector(".primary, .danger").focus();
  });
}
