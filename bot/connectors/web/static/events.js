// Reads server-sent events from the body of a response. Knows nothing about turns.

const BLANK_LINE = /\r\n\r\n|\n\n|\r\r/;
const LINE_END = /\r\n|\n|\r/;

/** The stream ended or failed before its last event. */
export class BrokenStream extends Error {}

/** Yields {name, data}; data is the parsed JSON. EventSource cannot POST, hence this reader. */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const blocks = (rest + (await nextText(reader))).split(BLANK_LINE);
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // the connection may be gone already
  }
}

async function nextText(reader) {
  const { value, done } = await reader.read().catch((cause) => {
    throw new BrokenStream("the connection was lost", { cause });
  });
  if (done) throw new BrokenStream("the stream ended without its last event");
  return value;
}

/** One block of lines, or null for a comment (the server's sign of life). */
export function parseEvent(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(LINE_END)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}
