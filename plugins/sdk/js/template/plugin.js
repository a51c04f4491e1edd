// Redacts the words of a list. One function serves prompts, thought and speech, whole and in streams.
import { get } from "gatewright:plugin/settings@0.1.1";
import { redact } from "./gatewright.js";

// Made of the settings at the first event: code outside of functions runs when the plugin is built, and the host is not there then.
let words;

// One expression for all words, the longest first. Upper and lower case are one.
function load() {
  const list = JSON.parse(get()).words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  list.sort((a, b) => b.length - a.length);
  return list.length ? new RegExp(list.join("|"), "iu") : /(?!)/;
}

export const filter = {
  inspect(context, event) {
    words ??= load();
    return redact(event, words, "[redacted]");
  },
};

// JSON Schemas, as text, of what tools give back, by the tools' names; the results of others are any text.
export const results = {
  schemas: () => [
    // [tools]
    ["count", JSON.stringify({ type: "integer", minimum: 0 })],
    // [/tools]
  ],
};

// What every match begins with, as regular expressions in Rust's syntax; with none, each text is shown.
export const prefilter = {
  patterns: () => [],
};

export const tools = {
  declare: () => [
    // [tools]
    {
      name: "count",
      description: "Counts how often a word stands in a text.",
      readOnly: true,
      parameters: JSON.stringify({
        type: "object",
        properties: { word: { type: "string", minLength: 1 }, text: { type: "string" } },
        required: ["word", "text"],
      }),
    },
    // [/tools]
  ],
  // The host has checked the arguments against the schema.
  call(context, name, args) {
    // [tools]
    const { word, text } = JSON.parse(args);
    if (name === "count") return String(text.split(word).length - 1);
    // [/tools]
    throw { tag: "denied", val: `no tool ${name}` };
  },
};
