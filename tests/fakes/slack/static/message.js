// One message as a row: author, text, blocks, files, reactions, and what can be done with it.

import { blocks } from "./blocks.js";
import { act, h, time } from "./dom.js";
import { emoji, markdown, mrkdwn } from "./markup.js";

const REACTIONS = ["+1", "-1", "eyes"];
const HUES = [258, 32, 330, 205, 85, 0, 290];

const hue = (id) => HUES[[...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7) % HUES.length];

// `world` has me, people, shortcuts, names(id), openThread(message), confirm(dialog), replies(message)
export function row(message, world, inThread) {
  const author = world.people.get(message.user) ?? { id: message.user, name: message.user === "USLACKBOT" ? "Slack" : message.user };
  const app = Boolean(message.bot_id);
  const context = { me: world.me, names: world.names, confirm: world.confirm, place: { channel: message.channel, ts: message.ts } };
  const tombstone = message.subtype === "tombstone";
  return h("article", { class: `message${message.ephemeral ? " ephemeral" : ""}${message.streaming ? " streaming" : ""}`, dataset: { ts: message.ts }, "data-testid": "message" },
    h("div", { class: `avatar${app ? " bot" : ""}`, "aria-hidden": "true", style: `--hue: ${hue(author.id)}` }, author.name[0]),
    h("div", { class: "body" },
      message.ephemeral ? h("p", { class: "note" }, "👁 Only visible to you") : null,
      h("p", { class: "by" }, h("strong", {}, author.name), app ? h("span", { class: "badge" }, "APP") : null,
        author.team && author.team !== world.team ? h("span", { class: "badge outside" }, "other organisation") : null,
        h("time", {}, time(message.ts)), message.edited ? h("span", { class: "note" }, "(edited)") : null),
      h("div", { class: "content" }, tombstone ? h("p", { class: "note" }, message.text) : content(message, context)),
      (message.files ?? []).map(file),
      reactions(message, world),
      inThread ? null : threadLink(message, world)),
    tombstone || message.ephemeral ? null : tools(message, world, inThread));
}

function content(message, context) {
  const made = blocks(message.blocks, context);
  if (message.subtype === "channel_join") return h("p", { class: "note" }, mrkdwn(message.text, context.names));
  if (!message.text || (made.length && !message.markdown)) return made; // with blocks, `text` is for notifications only
  const text = message.markdown ? markdown(message.text, context.names) : mrkdwn(message.text, context.names);
  if (message.streaming) caret(text);
  return [text, made];
}

// Where the next word will appear: behind the last word, however deep in lists it stands.
function caret(text) {
  let last = text;
  while (last.lastElementChild?.matches("p, h3, pre, ul, ol, li, blockquote, div")) last = last.lastElementChild;
  last.append(h("span", { class: "caret", "aria-hidden": "true" }, "▍"));
}

function file(found) {
  const picture = (found.mimetype ?? "").startsWith("image/") && found.url_private;
  return h("figure", { class: "file" }, picture ? h("img", { src: found.url_private, alt: found.alt_txt || found.title }) : h("span", { "aria-hidden": "true" }, "📄 "), h("figcaption", {}, found.title || found.name));
}

function react(message, world, name) {
  return act({ do: "react", user: world.me, channel: message.channel, ts: message.ts, name });
}

function reactions(message, world) {
  if (!message.reactions?.length) return null;
  return h("div", { class: "reactions" }, message.reactions.map(({ name, users }) => h("button", {
    type: "button", class: "reaction", "aria-pressed": String(users.includes(world.me)), title: users.map(world.names).join(", "),
    dataset: { focus: `reaction-${name}` }, onclick: () => react(message, world, name),
  }, `${emoji(name)} ${users.length}`)));
}

function threadLink(message, world) {
  const count = world.replies(message);
  if (!count) return null;
  return h("button", { type: "button", class: "thread-link", dataset: { focus: "thread" }, onclick: () => world.openThread(message) }, `${count} ${count === 1 ? "reply" : "replies"}`);
}

function tools(message, world, inThread) {
  const own = message.user === world.me;
  const where = { channel: message.channel, ts: message.ts };
  const tool = (label, icon, run) => h("button", { type: "button", class: "tool", title: label, "aria-label": label, dataset: { focus: label }, onclick: run }, icon);
  return h("div", { class: "tools-place" }, h("div", { class: "tools", role: "toolbar", "aria-label": "Message" },
    REACTIONS.map((name) => tool(`React with ${name}`, emoji(name), () => react(message, world, name))),
    inThread ? null : tool("Reply in thread", "💬", () => world.openThread(message)),
    Object.entries(world.shortcuts).map(([id, name]) => tool(name, "🎓", () => act({ do: "shortcut", user: world.me, callback_id: id, ...where }))),
    own ? tool("Edit", "✏️", (event) => edit(message, world, event.currentTarget.closest("article"))) : null,
    own ? tool("Delete", "🗑", () => act({ do: "delete", ...where })) : null));
}

// Puts a field in the place of a message's text; Enter saves, Escape leaves it.
function edit(message, world, article) {
  const plain = message.text.replace(/<@(\w+)>/g, (_, id) => `@${world.names(id)}`).replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  const input = h("textarea", { rows: 2, "aria-label": "Edit the message", value: plain });
  const leave = () => article.replaceWith(row(message, world, Boolean(article.closest("#thread-log"))));
  const save = (event) => {
    event?.preventDefault();
    const text = input.value.trim();
    leave();
    if (text && text !== plain) act({ do: "edit", channel: message.channel, ts: message.ts, text });
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); leave(); }
    if (event.key === "Enter" && !event.shiftKey) save(event);
  });
  article.querySelector(".content").replaceChildren(h("form", { class: "editor", onsubmit: save }, input,
    h("button", { type: "button", class: "button", onclick: leave }, "Cancel"), h("button", { class: "button primary" }, "Save")));
  input.focus();
  input.setSelectionRange(input.value.length, input.value.length);
}
