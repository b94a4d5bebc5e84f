// Calls the server. Knows nothing about the page.

import { readEvents } from "./events.js";

const DEADLINE_MS = 20_000;

/** The server answered, and said no. */
export class Refused extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get worthRepeating() {
    return this.status === 429 || this.status === 503;
  }
}

/** Nothing came back: whether the server acted is unknown, so repeat under the same id. */
export class Unreachable extends Error {
  get worthRepeating() {
    return true;
  }
}

/** 32 hex digits. crypto.randomUUID is missing on plain http. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const me = () => json("/api/me");

export const setLearning = (allowed) => json("/api/me/learning", { method: "PUT", body: { allowed } });

export const notices = async () => (await json("/api/notices")).notices;

export const noticeSeen = (id) => json(`/api/notices/${encodeURIComponent(id)}/seen`, { method: "POST", body: {} });

export const conversations = async () => (await json("/api/conversations")).conversations;

export const turnsOf = async (conversationId) =>
  (await json(pathOf(conversationId))).turns;

export const deleteConversation = (conversationId) =>
  json(pathOf(conversationId), { method: "DELETE" });

export const rate = (rating) => json("/api/ratings", { method: "POST", body: rating });

export const stop = (turnId) => call(`/api/turns/${encodeURIComponent(turnId)}/stop`, { method: "POST", body: {} }, deadline());

/** Posts a question {id, text, replaces}; resolves to its events once the server has accepted it. */
export async function ask(conversationId, question, signal) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), DEADLINE_MS);
  try {
    const path = `${pathOf(conversationId)}/turns`;
    const either = AbortSignal.any([signal, late.signal]);
    const response = await call(path, { method: "POST", body: question }, either);
    return readEvents(response.body);
  } finally {
    clearTimeout(timer);
  }
}

function pathOf(conversationId) {
  return `/api/conversations/${encodeURIComponent(conversationId)}`;
}

function deadline() {
  return AbortSignal.timeout(DEADLINE_MS);
}

async function json(path, options = {}) {
  const response = await call(path, options, deadline());
  try {
    return await response.json();
  } catch (cause) {
    throw new Unreachable("The server's answer broke off.", { cause });
  }
}

async function call(path, { method = "GET", body }, signal) {
  const request = { method, signal, cache: "no-store", headers: { Accept: "application/json, text/event-stream" } };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  const response = await fetch(path, request).catch((cause) => {
    throw new Unreachable("CARE cannot be reached.", { cause });
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  // Without its cookie a browser is unknown, and the token would not help.
  if (response.status === 401 && body?.error?.code !== "unknown_user") location.assign("/login");
  const message = body?.error?.message ?? `The server answered ${response.status}.`;
  return new Refused(message, response.status, Number(response.headers.get("Retry-After")) || null);
}
