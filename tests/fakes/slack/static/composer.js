// A message field: Enter sends, Shift+Enter breaks the line, @ and / are completed, a file can be attached (its name alone).

import { h } from "./dom.js";

// `send(text, files)` gives whether it was taken; `words()` gives what can be completed: {mentions, commands}.
export function composer(form, { label, send, words, id }) {
  const files = [];
  const chips = h("div", { class: "chips" });
  const input = h("textarea", { id, rows: 1, "aria-label": label, placeholder: label, autocomplete: "off", "data-testid": id });
  const offers = h("div", { class: "offers", role: "listbox", hidden: true });
  const picker = h("input", { type: "file", hidden: true, onchange: () => { attach(picker.files[0]?.name); picker.value = ""; } });
  let chosen = 0;

  const grow = () => { input.style.height = "auto"; input.style.height = `${Math.min(input.scrollHeight, 160)}px`; };
  const attach = (name) => {
    if (!name) return;
    files.push(name);
    chips.append(h("span", { class: "chip" }, `📄 ${name}`));
  };

  function offered() {
    const before = input.value.slice(0, input.selectionStart);
    const found = /(?:^|\s)([@/])(\w*)$/.exec(before);
    if (!found || (found[1] === "/" && before !== before.trimStart().slice(0, before.length))) return [];
    const all = found[1] === "@" ? words().mentions : before.startsWith("/") ? words().commands : [];
    return all.filter((word) => word.toLowerCase().startsWith((found[1] + found[2]).toLowerCase()) && word.toLowerCase() !== (found[1] + found[2]).toLowerCase());
  }

  function take(word) {
    const start = input.value.slice(0, input.selectionStart).replace(/[@/]\w*$/, "");
    input.setRangeText(`${word} `, start.length, input.selectionStart, "end");
    input.focus();
    show();
  }

  function show() {
    grow();
    const found = offered();
    chosen = 0;
    offers.hidden = found.length === 0;
    offers.replaceChildren(...found.slice(0, 6).map((word, index) => h("button", {
      type: "button", role: "option", tabindex: -1, "aria-selected": String(index === 0), onclick: () => take(word),
    }, word)));
  }

  function move(step) {
    chosen = (chosen + step + offers.children.length) % offers.children.length;
    [...offers.children].forEach((offer, index) => offer.setAttribute("aria-selected", String(index === chosen)));
  }

  async function submit() {
    const text = input.value.trim();
    if (!text && !files.length) return;
    input.value = "";
    const names = files.splice(0);
    chips.replaceChildren();
    show();
    if (!(await send(text, names))) { input.value = text; grow(); }
  }

  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!offers.hidden && step) { event.preventDefault(); move(step); }
    else if (!offers.hidden && (event.key === "Tab" || event.key === "Enter")) { event.preventDefault(); take(offers.children[chosen].textContent); }
    else if (event.key === "Escape" && !offers.hidden) { event.stopPropagation(); offers.hidden = true; }
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
  });
  form.onsubmit = (event) => { event.preventDefault(); submit(); };
  form.replaceChildren(offers, chips, h("div", { class: "composer-row" },
    h("button", { type: "button", class: "icon", title: "Attach a file (its name alone)", "aria-label": "Attach a file", onclick: () => picker.click() }, "📎"),
    picker, input, h("button", { class: "button primary", "aria-label": "Send" }, "Send")));
  return {
    label(text) { input.setAttribute("aria-label", text); input.placeholder = text; },
    focus() { input.focus(); },
  };
}
