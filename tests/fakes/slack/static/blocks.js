// Block Kit as elements: what an app sends, close enough to Slack to judge an app by. `context` says whose buttons they are.

import { act, h } from "./dom.js";
import { markdown, markdownInline, mrkdwn } from "./markup.js";

const pressed = new Map(); // which thumb somebody pressed, as Slack remembers it for them

export function blocks(list, context) {
  return (list ?? []).map((block) => (MADE[block.type] ?? unknown)(block, context));
}

export function textObject(text, names) {
  if (!text) return null;
  return text.type === "mrkdwn" ? mrkdwn(text.text, names) : h("div", { class: "text", dir: "auto" }, text.text);
}

const unknown = (block) => h("p", { class: "block note" }, `(a block of the type ${block.type})`);

const MADE = {
  section: (block, context) => h("div", { class: "block section" },
    h("div", { class: "section-text" }, textObject(block.text, context.names),
      block.fields ? h("div", { class: "fields" }, block.fields.map((field) => textObject(field, context.names))) : null),
    block.accessory ? element(block.accessory, block, context) : null),
  header: (block) => h("h3", { class: "block header" }, block.text.text),
  divider: () => h("hr", { class: "block" }),
  markdown: (block, context) => h("div", { class: "block" }, markdown(block.text, context.names)),
  context: (block, context) => h("div", { class: "block context" },
    block.elements.map((part) => (part.type === "image" ? image(part) : textObject(part, context.names)))),
  actions: (block, context) => h("div", { class: "block actions" }, block.elements.map((part) => element(part, block, context))),
  context_actions: (block, context) => h("div", { class: "block thumbs" }, block.elements.map((part) => element(part, block, context))),
  image: (block) => h("figure", { class: "block" }, block.title ? h("figcaption", {}, block.title.text) : null, image(block)),
  rich_text: (block, context) => h("div", { class: "block" }, block.elements.map((part) => rich(part, context))),
  table: (block, context) => h("table", { class: "block" }, h("tbody", {}, block.rows.map((row) => h("tr", {},
    row.map((cell) => h("td", {}, cell.type === "raw_text" ? cell.text : cell.elements.map((part) => rich(part, context)))))))),
  input: (block) => field(block),
};

const image = (part) => h("img", { src: part.image_url ?? part.slack_file?.url ?? "", alt: part.alt_text, loading: "lazy" });

function rich(part, context) {
  if (part.type === "rich_text_list") {
    return h(part.style === "ordered" ? "ol" : "ul", {}, part.elements.map((item) => h("li", {}, inlines(item.elements, context))));
  }
  const tag = { rich_text_preformatted: "pre", rich_text_quote: "blockquote" }[part.type] ?? "p";
  return h(tag, {}, inlines(part.elements, context));
}

function inlines(parts, context) {
  return parts.map((part) => {
    if (part.type === "link") return h("a", { href: part.url, target: "_blank", rel: "noreferrer" }, part.text ?? part.url);
    if (part.type === "user") return h("span", { class: "mention" }, `@${context.names(part.user_id) ?? part.user_id}`);
    if (part.type === "broadcast") return h("span", { class: "mention loud" }, `@${part.range}`);
    if (part.type === "emoji") return markdownInline(`:${part.name}:`, context.names);
    const style = Object.keys(part.style ?? {})[0];
    const tag = { bold: "strong", italic: "em", strike: "s", code: "code" }[style] ?? "span";
    return h(tag, {}, part.text ?? "");
  });
}

function element(part, block, context) {
  if (part.type === "feedback_buttons") return thumbs(part, context);
  if (part.type === "image") return image(part);
  const press = async (value) => {
    if (part.confirm && !(await context.confirm(part.confirm))) return;
    await act({ do: "click", user: context.me, action_id: part.action_id, value, ...context.place });
  };
  if (part.type === "button" || part.type === "icon_button") {
    const label = part.accessibility_label ?? part.text.text;
    const open = () => part.url && window.open(part.url, "_blank", "noreferrer");
    return h("button", {
      type: "button", class: `button ${part.style ?? ""}`, "aria-label": label, dataset: { focus: part.action_id }, title: part.type === "icon_button" ? label : null,
      onclick: () => { open(); press(part.value ?? null); },
    }, part.type === "icon_button" ? "🗑" : part.text.text);
  }
  if (part.options) {
    return h("select", { class: "select", "aria-label": part.placeholder?.text ?? "Choose", dataset: { focus: part.action_id }, onchange: (event) => press(event.target.value) },
      h("option", { value: "" }, part.placeholder?.text ?? "…"), part.options.map((option) => h("option", { value: option.value }, option.text.text)));
  }
  return h("span", { class: "note" }, `(${part.type})`);
}

function thumbs(part, context) {
  const key = `${context.me}/${JSON.stringify(context.place)}/${part.action_id}`;
  const box = h("span", { class: "thumb-pair", role: "group", "aria-label": "Was this helpful?" });
  for (const [side, icon] of [["positive_button", "👍"], ["negative_button", "👎"]]) {
    const button = part[side];
    box.append(h("button", {
      type: "button", class: "thumb", "aria-pressed": String(pressed.get(key) === side), title: button.text.text,
      "aria-label": button.accessibility_label ?? button.text.text, dataset: { focus: `${part.action_id}/${side}` },
      onclick: (event) => {
        pressed.set(key, side);
        for (const other of box.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        act({ do: "click", user: context.me, action_id: part.action_id, value: button.value, ...context.place });
      },
    }, icon));
  }
  return box;
}

// An input block of a modal. Its value is read by `entered`.
function field(block) {
  const part = block.element;
  const id = `${block.block_id}-input`;
  const common = { id, name: block.block_id, dataset: { block: block.block_id, type: part.type }, placeholder: part.placeholder?.text, "aria-describedby": `${id}-hint`, autofocus: part.focus_on_load };
  let input;
  if (part.options && part.type.endsWith("select")) {
    input = h("select", common, h("option", { value: "" }, part.placeholder?.text ?? "…"), part.options.map((option) => h("option", { value: option.value }, option.text.text)));
    input.value = part.initial_option?.value ?? "";
  } else if (part.options) {
    const kind = part.type === "checkboxes" ? "checkbox" : "radio";
    input = h("div", { dataset: { block: block.block_id, type: part.type }, class: "choices" }, part.options.map((option) => h("label", {},
      h("input", { type: kind, name: block.block_id, value: option.value, checked: part.initial_option?.value === option.value }), " ", option.text.text)));
  } else if (part.multiline) input = h("textarea", { ...common, rows: 4, value: part.initial_value ?? "", maxlength: part.max_length });
  else input = h("input", { ...common, type: "text", value: part.initial_value ?? "", maxlength: part.max_length });
  return h("div", { class: "field" },
    h("label", { for: id }, block.label.text, block.optional ? h("span", { class: "note" }, " (optional)") : null), input,
    block.hint ? h("p", { class: "note", id: `${id}-hint` }, block.hint.text) : null,
    h("p", { class: "error", dataset: { errorFor: block.block_id }, role: "alert" }));
}

// What was entered into the input blocks inside of an element, by block id.
export function entered(root) {
  const values = {};
  for (const input of root.querySelectorAll("[data-block]")) {
    const chosen = [...input.querySelectorAll("input:checked")].map((option) => option.value);
    if (input.dataset.type === "checkboxes") values[input.dataset.block] = chosen;
    else values[input.dataset.block] = (input.dataset.type === "radio_buttons" ? chosen[0] : input.value) || null;
  }
  return values;
}
