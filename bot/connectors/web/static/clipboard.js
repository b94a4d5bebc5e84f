// Puts text on the clipboard.

/** Resolves to whether it worked. */
export async function copy(text) {
  // On plain http (another host than localhost) navigator.clipboard does not exist.
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Denied by a policy: the old way may still be allowed.
    }
  }
  return copyBySelection(text);
}

function copyBySelection(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.className = "visually-hidden";
  area.readOnly = true; // keeps a phone's keyboard down
  area.value = text;
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } finally {
    area.remove();
    focused?.focus();
  }
}
