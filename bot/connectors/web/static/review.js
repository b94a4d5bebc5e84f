// The review page. Decisions go to the server one by one; what could not be saved stays on the screen with the reason.

const at = (id) => document.getElementById(id);
const own = { queue: [], left: 0 };

async function call(path, body) {
  const options = body
    ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
    : {};
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(20_000) });
  const told = await response.json();
  if (!response.ok) {
    throw new Error(told.error?.message ?? `the server said ${response.status}`);
  }
  return told;
}

async function load() {
  await call("/api/me");
  const { waiting } = await call("/api/reviews");
  own.queue = waiting.filter((each) => !each.own);
  own.left = waiting.length - own.queue.length;
  show();
}

const current = () => own.queue[0];
const editing = () => !at("response").readOnly;

function show() {
  const each = current();
  at("card").hidden = !each;
  at("empty").hidden = Boolean(each);
  const others = own.left ? `, ${own.left} of your own wait for somebody else` : "";
  at("count").textContent = `${own.queue.length} to review${others}`;
  at("problem").textContent = "";
  if (!each) {
    return;
  }
  at("domain").textContent = each.domain;
  at("source").textContent = each.source;
  at("why").textContent = `· ${each.why}`;
  at("before").hidden = !each.input;
  at("input").textContent = each.input;
  at("instruction").textContent = each.instruction;
  at("what").textContent = each.bad ? "What CARE would learn not to answer" : "What CARE would learn to answer";
  at("instead").hidden = !each.corrects;
  at("corrects").textContent = each.corrects ?? "";
  at("edit").hidden = each.bad;
  at("response").value = each.response;
  edit(false);
}

function edit(on) {
  at("response").readOnly = !on;
  at("approve-label").textContent = on ? "Save and approve" : "Approve";
  if (on) {
    at("response").focus();
  } else {
    at("response").blur();
  }
}

async function decide(decision) {
  const each = current();
  if (!each || own.busy) {
    return;
  }
  const text = at("response").value.trim();
  const changed = editing() && text !== each.response.trim();
  const body = { sha256: each.sha256, decision: decision === "approved" && changed ? "edited" : decision };
  if (body.decision === "edited") {
    body.edited = text;
  }
  own.busy = true;
  try {
    await call(`/api/reviews/${encodeURIComponent(each.turn_id)}`, body);
    own.queue.shift();
    show();
  } catch (error) {
    at("problem").textContent = `Not saved: ${error.message}`;
  } finally {
    own.busy = false;
  }
}

function skip() {
  own.queue.push(own.queue.shift());
  show();
}

const KEYS = { a: () => decide("approved"), r: () => decide("rejected"), e: () => edit(!current().bad), s: skip };

at("approve").addEventListener("click", KEYS.a);
at("reject").addEventListener("click", KEYS.r);
at("edit").addEventListener("click", KEYS.e);
at("skip").addEventListener("click", KEYS.s);
document.addEventListener("keydown", (event) => {
  if (editing()) {
    if (event.key === "Escape") {
      at("response").value = current().response;
      edit(false);
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      decide("approved");
    }
  } else if (current() && !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key.toLowerCase()]) {
    event.preventDefault();
    KEYS[event.key.toLowerCase()]();
  }
});

load().catch((error) => {
  at("count").textContent = `The list could not be loaded: ${error.message}. Reload the page to try again.`;
});
