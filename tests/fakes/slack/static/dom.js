// Making elements without strings of HTML: what people and the model wrote is only ever text.

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Puts `fresh` in the place of `old` and leaves the focus where it was, by data-focus.
export function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  old.replaceWith(fresh);
  if (focused) fresh.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  return fresh;
}

export function time(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

const toast = document.getElementById("toast");
let hiding;

export function complain(text) {
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.hidden = true; }, 6000);
}

// Asks the fake to do something; false when it refused.
export async function act(what) {
  try {
    const response = await fetch("/page/do", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what),
    });
    const answer = await response.json();
    if (!answer.ok) complain(answer.error);
    return answer.ok;
  } catch {
    complain("The fake Slack is not running any more.");
    return false;
  }
}
