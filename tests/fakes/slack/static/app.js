// The page: keeps what the feed tells, shows one channel and one thread of it.

import { blocks } from "./blocks.js";
import { composer } from "./composer.js";
import { act, h, replace } from "./dom.js";
import { row } from "./message.js";
import { ask, showView } from "./modal.js";

const at = (id) => document.getElementById(id);
const state = { channel: null, root: null, tab: "messages", home: null, sockets: 0, commands: [], channels: new Map(), messages: new Map(), threads: new Map(), prompts: new Map() };
const world = {
  me: localStorage.getItem("user") ?? "U0ADA00001", team: "T0CAREHQ01", people: new Map(), shortcuts: {}, confirm: ask,
  names: (id) => world.people.get(id)?.name.split(" ")[0] ?? state.channels.get(id)?.name,
  replies: (message) => thread(message.channel, message.ts).filter((reply) => !reply.ephemeral && reply.ts !== message.ts).length,
  openThread: (message) => openThread(message.root),
};
let feed;

function thread(channel, root) {
  return [...state.messages.values()].filter((message) => message.channel === channel && message.root === root);
}

// The feed

function connect() {
  feed?.close();
  feed = new EventSource(`/page/feed?user=${world.me}`);
  feed.onmessage = (event) => { const news = JSON.parse(event.data); TOLD[news.kind]?.(news); };
  feed.onerror = () => { at("link").textContent = "The fake Slack is gone; trying again…"; at("link").className = "link bad"; };
}

const TOLD = {
  everything(news) {
    world.people = new Map(news.people.map((person) => [person.id, person]));
    world.team = world.people.get(news.bot).team;
    world.shortcuts = news.shortcuts;
    Object.assign(state, { commands: news.commands, home: news.home, bot: news.bot });
    state.channels = new Map(news.channels.map((channel) => [channel.id, channel]));
    state.messages = new Map([...news.messages, ...news.ephemerals].map((message) => [`${message.channel}/${message.ts}`, message]));
    state.threads = new Map(news.threads.map((found) => [`${found.channel}/${found.root}`, found]));
    state.prompts = new Map(news.prompts.map((prompts) => [prompts.channel, prompts]));
    TOLD.sockets(news);
    showPeople();
    showPlaces();
    openChannel(state.channels.has(state.channel) ? state.channel : news.channels.find((channel) => channel.type === "im").id);
    for (const view of news.views) showView(view, world);
  },
  message({ message }) {
    const key = `${message.channel}/${message.ts}`;
    const fresh = !state.messages.has(key);
    if (message.deleted) state.messages.delete(key);
    else state.messages.set(key, message);
    if (message.channel !== state.channel) return;
    const root = state.messages.get(`${message.channel}/${message.root}`);
    if (fresh && message.user === world.me && message.root === message.ts) state.awaited = message.ts;
    show(message);
    if (fresh && message.bot_id && message.root !== message.ts && root?.user === world.me) follow(message.root);
  },
  channel({ channel }) { state.channels.set(channel.id, channel); showPlaces(); },
  thread({ thread: found }) {
    state.threads.set(`${found.channel}/${found.root}`, found);
    if (found.channel === state.channel && (found.status || found.session === "processing")) follow(found.root);
    showStatus();
  },
  prompts({ prompts }) { state.prompts.set(prompts.channel, prompts); showPrompts(); },
  view({ view }) { showView(view, world); },
  home({ view }) { state.home = view; showHome(); },
  sockets({ sockets }) {
    state.sockets = sockets;
    at("link").textContent = sockets ? "CARE is connected" : "CARE is not connected yet…";
    at("link").className = `link ${sockets ? "good" : "bad"}`;
  },
};

// The sidebar

function showPeople() {
  const people = [...world.people.values()].filter((person) => !person.bot);
  at("who").replaceChildren(...people.map((person) => h("option", { value: person.id }, person.team === world.team ? person.name : `${person.name} (other organisation)`)));
  at("who").value = world.me;
}

function showPlaces() {
  const entry = (channel) => h("li", {}, h("button", { type: "button", "aria-current": channel.id === state.channel ? "page" : null, dataset: { focus: channel.id }, onclick: () => openChannel(channel.id) },
    h("span", { "aria-hidden": "true" }, channel.type === "im" ? "✦" : channel.type === "group" ? "🔒" : "#"), channel.type === "im" ? "CARE" : channel.name));
  const all = [...state.channels.values()];
  const fill = (id, channels) => { at(id).replaceWith(h("ul", { id, class: "places" }, channels.map(entry))); };
  fill("channels", all.filter((channel) => channel.type !== "im"));
  fill("agents", all.filter((channel) => channel.type === "im"));
}

at("who").addEventListener("change", (event) => {
  world.me = event.target.value;
  localStorage.setItem("user", world.me);
  closeThread();
  connect();
});

// A channel

function openChannel(id) {
  const channel = state.channels.get(id);
  if (state.channel !== id) closeThread();
  const arrived = state.channel !== id;
  state.channel = id;
  state.tab = "messages";
  const direct = channel.type === "im";
  at("title").textContent = direct ? "CARE" : `# ${channel.name}`;
  at("topic").textContent = direct ? "Only you and the agent" : channel.here ? "CARE is in this channel: write to it with @CARE" : "CARE is not in this channel";
  at("tabs").hidden = !direct;
  if (direct && arrived) act({ do: "home", user: world.me, tab: "messages" });
  writing.label(direct ? "Write to CARE" : `Write to #${channel.name}`);
  showPlaces();
  showTab();
  showLog();
}

function showTab() {
  const home = state.tab === "home";
  for (const tab of at("tabs").children) tab.setAttribute("aria-pressed", String(tab.dataset.tab === state.tab));
  at("log").hidden = at("composer-form").hidden = home;
  at("home").hidden = !home;
  showHome();
  showPrompts();
}

function showHome() {
  const context = { me: world.me, names: world.names, confirm: ask, place: { view: state.home?.id } };
  at("home").replaceChildren(...(state.home ? blocks(state.home.blocks, context) : [h("p", { class: "note empty" }, "The app has published no home tab.")]));
}

at("tabs").addEventListener("click", (event) => {
  if (!event.target.dataset.tab) return;
  state.tab = event.target.dataset.tab;
  act({ do: "home", user: world.me, tab: state.tab });
  showTab();
});

function showPrompts() {
  const found = state.prompts.get(state.channel);
  const prompts = state.tab === "messages" && found ? found.prompts : [];
  at("prompts").replaceChildren(...(found?.title && prompts.length ? [h("p", { class: "note" }, found.title)] : []),
    ...prompts.map((prompt) => h("button", { type: "button", class: "prompt", onclick: () => say(prompt.message) }, prompt.title)));
}

const sorted = (messages) => messages.sort((one, other) => (one.ts < other.ts ? -1 : 1));

function fill(log, messages, inThread) {
  log.replaceChildren(...sorted(messages).map((message) => row(message, world, inThread)));
  if (!messages.length) log.append(h("p", { class: "note empty" }, inThread ? "" : state.channels.get(state.channel).type === "im" ? "Ask CARE something. It answers in a thread, here beside." : "Nothing has been said here yet."));
  log.scrollTop = log.scrollHeight;
}

function showLog() {
  const top = [...state.messages.values()].filter((message) => message.channel === state.channel && message.root === message.ts);
  fill(at("log"), top, false);
}

// Puts one changed message where it belongs, and keeps the reader at the end if they were there.
function show(message) {
  const root = state.messages.get(`${message.channel}/${message.root}`);
  const places = [[at("log"), message.root === message.ts ? message : root, false]];
  if (message.root === state.root) places.push([at("thread-log"), message, true]);
  for (const [log, shown, inThread] of places) {
    if (!shown) continue;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const old = log.querySelector(`[data-ts="${shown.ts}"]`);
    if (!state.messages.has(`${shown.channel}/${shown.ts}`)) old?.remove();
    else if (old) replace(old, row(shown, world, inThread));
    else { log.querySelector(".empty")?.remove(); log.append(row(shown, world, inThread)); }
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  showStatus();
}

// A thread

function openThread(root) {
  state.root = root;
  at("thread").hidden = false;
  at("app").classList.add("with-thread");
  fill(at("thread-log"), thread(state.channel, root), true);
  showLog();
  showStatus();
}

// Opens the thread in which the app answers what was asked last; other threads are left alone.
function follow(root) {
  if (root !== state.awaited) return;
  state.awaited = null;
  if (root !== state.root) openThread(root);
}

function closeThread() {
  state.root = null;
  at("thread").hidden = true;
  at("app").classList.remove("with-thread");
}

let turning;

function showStatus() {
  clearInterval(turning);
  const found = state.threads.get(`${state.channel}/${state.root}`);
  const streaming = thread(state.channel, state.root).some((message) => message.streaming);
  const status = found?.status;
  const stoppable = found?.session === "processing" || streaming;
  at("thread-title").textContent = found?.title || "Thread";
  at("status").hidden = !status && !stoppable;
  const words = [status?.status, ...(status?.loading_messages ?? [])].filter(Boolean);
  const text = h("span", {}, words.length ? `CARE ${words[0]}` : streaming ? "CARE is writing" : "CARE is working");
  at("status").replaceChildren(h("span", { class: "dots", "aria-hidden": "true" }), text,
    stoppable ? h("button", { type: "button", class: "button", onclick: () => act({ do: "stop", user: world.me, channel: state.channel, root: state.root }) }, "◼ Stop") : "");
  let turn = 0;
  if (words.length > 1) turning = setInterval(() => { turn = (turn + 1) % words.length; text.textContent = turn ? words[turn] : `CARE ${words[0]}`; }, 2500);
}

at("thread-close").addEventListener("click", () => { closeThread(); writing.focus(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && state.root && !document.querySelector("dialog[open]")) { closeThread(); writing.focus(); } });

// Writing

function say(text, files, root) {
  return act({ do: "say", user: world.me, channel: state.channel, text, files, thread_ts: root });
}

const words = () => ({ mentions: [...world.people.values()].map((person) => `@${person.name.split(" ")[0]}`), commands: state.commands });
const writing = composer(at("composer-form"), { id: "composer", label: "Write a message", words, send: (text, files) => say(text, files) });
composer(at("thread-form"), { id: "thread-composer", label: "Reply in this thread", words, send: (text, files) => say(text, files, state.root) });
connect();
