// Slack's two markups as elements: mrkdwn (`text`) and Markdown (`markdown_text`, markdown blocks). Both know Slack's <…> tokens.

import { h } from "./dom.js";

const EMOJI = {
  "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", eyes: "👀", tada: "🎉", warning: "⚠️", white_check_mark: "✅", x: "❌",
  wave: "👋", heart: "❤️", smile: "😄", robot_face: "🤖", rotating_light: "🚨", hourglass: "⏳", hourglass_flowing_sand: "⏳",
  information_source: "ℹ️", speech_balloon: "💬", bulb: "💡", pray: "🙏", mortar_board: "🎓", arrow_left: "⬅️", no_entry: "⛔",
};

export const emoji = (name) => EMOJI[name] ?? `:${name}:`;

const decode = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

function link(url, label) {
  return h("a", { href: url, target: "_blank", rel: "noreferrer" }, label ?? url);
}

// <@U…>, <#C…|name>, <!here>, <https://…|label>: what pings and links in Slack pings and links here.
function token(inside, names) {
  const [target, label] = inside.split("|");
  if (target.startsWith("@")) return h("span", { class: "mention" }, `@${names(target.slice(1)) ?? label ?? target.slice(1)}`);
  if (target.startsWith("#")) return h("span", { class: "mention" }, `#${label ?? names(target.slice(1)) ?? target.slice(1)}`);
  if (target.startsWith("!")) return h("span", { class: "mention loud" }, `@${label ?? target.slice(1).split("^")[0]}`);
  if (/^(https?:|mailto:)/.test(target)) return link(decode(target), decode(label ?? target));
  return null;
}

const TOKEN = String.raw`<([@#!][^<>\s]+(?:\|[^<>]*)?|(?:https?:|mailto:)[^<>\s]+(?:\|[^<>]*)?)>`;
const BARE = String.raw`(https?:\/\/[^\s<>"'\`]+[^\s<>"'\`.,;:!?)\]])`;
const MRKDWN = new RegExp(
  `${TOKEN}|\`([^\`\\n]+)\`|(?<![\\w*])\\*([^*\\n]+)\\*(?![\\w*])|(?<![\\w_])_([^_\\n]+)_(?![\\w_])|(?<![\\w~])~([^~\\n]+)~(?![\\w~])|:([a-z0-9_+-]+):|${BARE}`, "g");
const MARKDOWN = new RegExp(
  `${TOKEN}|\`([^\`\\n]+)\`|\\*\\*(.+?)\\*\\*|\\*([^*\\s][^*\\n]*?)\\*|(?<!\\w)_([^_\\n]+)_(?!\\w)|~~([^~\\n]+)~~|\\[([^\\]\\n]+)\\]\\((https?:[^)\\s]+)\\)|\\\\([\\\\\`*_{}\\[\\]()#+.!<>~|-])|:([a-z0-9_+-]+):|${BARE}`, "g");

function walk(text, pattern, made) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    const element = made(match);
    if (element === null) continue;
    found.push(decode(text.slice(at, match.index)), element);
    at = match.index + match[0].length;
  }
  found.push(decode(text.slice(at)));
  return found.filter((part) => part !== "");
}

function mrkdwnInline(text, names) {
  return walk(text, MRKDWN, ([, slack, code, bold, italic, strike, name, url]) => {
    if (slack) return token(slack, names);
    if (code) return h("code", {}, decode(code));
    if (bold) return h("strong", {}, mrkdwnInline(bold, names));
    if (italic) return h("em", {}, mrkdwnInline(italic, names));
    if (strike) return h("s", {}, mrkdwnInline(strike, names));
    if (name) return EMOJI[name] ?? null;
    return url ? link(decode(url)) : null;
  });
}

export function markdownInline(text, names) {
  return walk(text, MARKDOWN, ([, slack, code, bold, star, under, strike, label, href, escaped, name, url]) => {
    if (slack) return token(slack, names);
    if (code) return h("code", {}, decode(code));
    if (bold) return h("strong", {}, markdownInline(bold, names));
    if (star ?? under) return h("em", {}, markdownInline(star ?? under, names));
    if (strike) return h("s", {}, markdownInline(strike, names));
    if (label) return link(decode(href), decode(label));
    if (escaped) return escaped;
    if (name) return EMOJI[name] ?? null;
    return url ? link(decode(url)) : null;
  });
}

function lines(text, inline, names) {
  return text.split("\n").flatMap((line, index) => [index ? h("br") : null, inline(line, names)]);
}

export function mrkdwn(text, names) {
  const box = h("div", { class: "text", dir: "auto" });
  text.split(/```\n?([\s\S]*?)```/g).forEach((part, index) => {
    if (index % 2) box.append(h("pre", {}, decode(part.replace(/\n$/, ""))));
    else for (const run of part.replace(/^\n|\n$/g, "").split(/((?:^(?:&gt;|>).*(?:\n|$))+)/m)) {
      if (!run) continue;
      if (/^(&gt;|>)/.test(run)) box.append(h("blockquote", {}, lines(run.trim().replace(/^(&gt;|>) ?/gm, ""), mrkdwnInline, names)));
      else box.append(h("p", {}, lines(run.replace(/\n$/, ""), mrkdwnInline, names)));
    }
  });
  return box;
}

const LIST = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;
const OPENS = [/^\s*(```|~~~)/, /^#{1,6}\s/, /^\s*>/, LIST, /^\s*([-*_])(\s*\1){2,}\s*$/];

export function markdown(text, names) {
  const box = h("div", { class: "text", dir: "auto" });
  const rows = text.split("\n");
  while (rows.length) {
    const row = rows[0];
    if (!row.trim()) rows.shift();
    else if (/^\s*(```|~~~)/.test(row)) box.append(fence(rows));
    else if (/^#{1,6}\s/.test(row)) box.append(h("h3", {}, markdownInline(rows.shift().replace(/^#+\s+/, ""), names)));
    else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(row)) { rows.shift(); box.append(h("hr")); }
    else if (LIST.test(row)) box.append(list(rows, names));
    else if (/^\s*>/.test(row)) box.append(h("blockquote", {}, markdown(taken(rows, (r) => /^\s*>/.test(r)).map((r) => r.replace(/^\s*> ?/, "")).join("\n"), names)));
    else if (row.includes("|") && /^\s*\|?\s*:?-{2,}.*$/.test(rows[1] ?? "")) box.append(table(rows, names));
    else box.append(h("p", {}, lines([rows.shift(), ...taken(rows, (r) => r.trim() && !OPENS.some((open) => open.test(r)))].join("\n"), markdownInline, names)));
  }
  return box;
}

function taken(rows, wanted) {
  const found = [];
  while (rows.length && wanted(rows[0])) found.push(rows.shift());
  return found;
}

function fence(rows) {
  const mark = rows.shift().trim().slice(0, 3);
  const inside = taken(rows, (row) => !row.trim().startsWith(mark));
  rows.shift();
  return h("pre", {}, decode(inside.join("\n")));
}

function list(rows, names) {
  const depth = LIST.exec(rows[0])[1].length;
  const ordered = /^\d/.test(LIST.exec(rows[0])[2]);
  const made = h(ordered ? "ol" : "ul", ordered ? { start: parseInt(LIST.exec(rows[0])[2], 10) } : {});
  while (rows.length) {
    const found = LIST.exec(rows[0]);
    if (found && found[1].length > depth + 1 && made.lastElementChild) made.lastElementChild.append(list(rows, names));
    else if (found && found[1].length >= depth && /^\d/.test(found[2]) === ordered) made.append(h("li", {}, markdownInline(found[3], names), rows.shift() && null));
    else if (!found && /^\s{2,}\S/.test(rows[0]) && made.lastElementChild) made.lastElementChild.append(h("br"), ...markdownInline(rows.shift().trim(), names));
    else break;
  }
  return made;
}

function table(rows, names) {
  const cells = (row) => row.trim().replace(/^\||\|$/g, "").split("|").map((cell) => markdownInline(cell.trim(), names));
  const head = cells(rows.shift());
  rows.shift();
  const body = taken(rows, (row) => row.includes("|")).map(cells);
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((cell) => h("th", {}, cell)))),
    h("tbody", {}, body.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))));
}
