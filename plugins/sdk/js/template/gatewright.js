// Short ways to say an action, and `redact`. Offsets count from 0 in UTF-16, as JavaScript's do, and ends are exclusive.

/** Replaces a range of a segment. */
export const edit = (segment, start, end, text) => ({ tag: "edit", val: { segment: segment.id, start, end, text } });

/** A match may begin here: nothing is sent from `start` on, for now. */
export const hold = (segment, start) => ({ tag: "hold", val: { segment: segment.id, start } });

/** Stops and refuses. */
export const block = (code, message) => ({ tag: "block", val: { code, message } });

/** Stops and gives this answer in the model's place. */
export const answer = (text) => ({ tag: "answer", val: text });

/** Asks again, elsewhere or with one more instruction. */
export const reask = (route, instruction) => ({ tag: "reask", val: { route, instruction } });

/** Sets one allow-listed field of the request; in phase `request` only. */
export const set = (pointer, value) => ({ tag: "set", val: [pointer, JSON.stringify(value)] });

/** A label for later plugins, routing, logs and metrics. */
export const note = (key, value) => ({ tag: "note", val: [key, value] });

/**
 * Edits of all that `find` finds in an event, and holds of what may go on in the next piece of a stream.
 *
 * `find` is a regular expression, or a function `(text, from) => [start, end]`, or nothing where it finds nothing, or `[start]` where a
 * match may be beginning. Beginnings that it does not tell of must fit the manifest's `window`. `replacement` is a text, or a function of
 * the match that gives one (the match itself to leave it: inside an edit no text is released, so that the rest is not searched again).
 */
export function redact(event, find, replacement) {
  const first = typeof find === "function" ? find : finder(find);
  const put = typeof replacement === "function" ? replacement : () => replacement;
  return event.segments.flatMap((segment) => redacted(segment, event.last, first, put));
}

function redacted(segment, last, first, put) {
  const { text } = segment;
  const actions = [];
  let from = segment.sent;
  while (from < text.length) {
    const [start, end] = first(text, from) ?? [];
    if (start === undefined || start < from || start >= text.length) break;
    // A match that ends where the text does may go on.
    if (!last && (end === undefined || end >= text.length)) {
      actions.push(hold(segment, start));
      break;
    }
    if (end === undefined || end <= start) {
      from = start + 1;
      continue;
    }
    actions.push(edit(segment, start, end, put(text.slice(start, end))));
    from = end;
  }
  return actions;
}

function finder(pattern) {
  const all = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "") + "g");
  return (text, from) => {
    all.lastIndex = from;
    const match = all.exec(text);
    return match ? [match.index, match.index + match[0].length] : undefined;
  };
}
