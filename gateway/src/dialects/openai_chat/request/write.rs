//! The canonical request to an upstream's body.
//!
//! Apart from reading because it serves requests that policies changed: a typed field always wins over an extra of its name. It must
//! not know which upstream is asked.

use bytes::Bytes;
use gatewright_types::{ChatRequest, Content, Message, Part, Role, Tool, ToolCall, ToolDefinition};

use super::{NOTE, fit, noted};
use crate::dialects::foreign;
use crate::dialects::openai_chat::NAME;
use crate::dialects::out::Out;

/// Writes the body that asks an upstream of this dialect. A stream is always asked for its usage, whatever the client wants to see,
/// but where a note says that `stream_options` is not known there.
pub fn write(request: &ChatRequest) -> Bytes {
    let mut out = Out::with_room(1024);
    out.open();
    out.text("model", &request.model);
    out.name("messages");
    out.open_list();
    fit::messages(request).iter().for_each(|message| write_message(&mut out, message));
    out.close_list();
    let tools = foreign::sayable(request, NAME);
    if !tools.is_empty() {
        out.name("tools");
        out.open_list();
        tools.iter().for_each(|tool| write_tool(&mut out, tool));
        out.close_list();
    }
    // Without tools it is refused.
    let choice = request.tool_choice.as_ref().filter(|_| !tools.is_empty() || request.tools.is_empty());
    for (name, json) in [("tool_choice", choice), ("response_format", request.response_format.as_ref())] {
        if let Some(json) = json {
            out.value(name, json);
        }
    }
    write_rest(out, request)
}

/// Writes what says how to answer, and with it the end of the body.
pub(in crate::dialects) fn write_rest(mut out: Out, request: &ChatRequest) -> Bytes {
    write_sampling(&mut out, request);
    if let Some(word) = fit::effort(request) {
        out.text("reasoning_effort", word);
    }
    if request.stream {
        out.name("stream");
        out.raw("true");
        if !noted(&request.extras, "stream_options") {
            write_stream_options(&mut out, request);
        }
    }
    out.extras(&request.extras, |name, json| wanted(request, name, json));
    out.close();
    out.done()
}

/// Whether an extra of the request is written: not if its field was, and never as a note.
fn wanted(request: &ChatRequest, name: &str, json: &str) -> bool {
    let sampling = &request.sampling;
    match name {
        "model" | "messages" | "stream" => false,
        "tools" => request.tools.is_empty(),
        "parallel_tool_calls" => request.tools.is_empty() || !foreign::sayable(request, NAME).is_empty(),
        "tool_choice" => request.tool_choice.is_none(),
        "response_format" => request.response_format.is_none(),
        "stream_options" => !request.stream,
        "max_completion_tokens" => json != NOTE && !noted(&request.extras, name),
        "max_tokens" => sampling.max_tokens.is_none() || noted(&request.extras, "max_completion_tokens"),
        "stop" => json != NOTE && sampling.stop.is_empty(),
        "temperature" => sampling.temperature.is_none(),
        "top_p" => sampling.top_p.is_none(),
        "presence_penalty" => sampling.presence_penalty.is_none(),
        "frequency_penalty" => sampling.frequency_penalty.is_none(),
        "seed" => sampling.seed.is_none(),
        "n" => sampling.n.is_none(),
        "logprobs" => sampling.logprobs.is_none(),
        "top_logprobs" => sampling.top_logprobs.is_none(),
        _ => true,
    }
}

fn write_sampling(out: &mut Out, request: &ChatRequest) {
    let sampling = &request.sampling;
    if let Some(bound) = sampling.max_tokens {
        let newer = noted(&request.extras, "max_completion_tokens");
        out.number(if newer { "max_completion_tokens" } else { "max_tokens" }, bound);
    }
    let floats = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ];
    for (name, number) in floats {
        if let Some(number) = number {
            out.name(name);
            out.float(number);
        }
    }
    sampling.seed.into_iter().for_each(|seed| out.number("seed", seed));
    sampling.n.into_iter().for_each(|n| out.number("n", n));
    sampling.logprobs.into_iter().for_each(|wanted| out.number("logprobs", wanted));
    sampling.top_logprobs.into_iter().for_each(|count| out.number("top_logprobs", count));
    match &*sampling.stop {
        [] => {}
        [only] if noted(&request.extras, "stop") => out.text("stop", only),
        texts => {
            out.name("stop");
            out.open_list();
            texts.iter().for_each(|text| out.string(text));
            out.close_list();
        }
    }
}

fn write_stream_options(out: &mut Out, request: &ChatRequest) {
    out.name("stream_options");
    match request.extras.get("stream_options").and_then(|json| json.strip_suffix('}')) {
        Some(open) => out.raw(open),
        None => out.open(),
    }
    out.name("include_usage");
    out.raw("true");
    out.close();
}

fn role_word(role: &Role) -> &str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other(word) => word,
    }
}

fn write_message(out: &mut Out, message: &Message) {
    out.open();
    out.text("role", role_word(&message.role));
    match &message.content {
        Content::Absent => {}
        Content::Null => {
            out.name("content");
            out.raw("null");
        }
        Content::Text(text) => out.text("content", text),
        Content::Parts(parts) => {
            out.name("content");
            out.open_list();
            parts.iter().for_each(|part| write_part(out, part));
            out.close_list();
        }
    }
    if let Some(text) = &message.reasoning {
        let other = noted(&message.extras, "reasoning");
        if other {
            out.text("reasoning", text);
        }
        if !other || noted(&message.extras, "reasoning_content") {
            out.text("reasoning_content", text);
        }
    }
    let texts = [("refusal", &message.refusal), ("tool_call_id", &message.tool_call_id), ("name", &message.name)];
    for (name, text) in texts {
        if let Some(text) = text {
            out.text(name, text);
        }
    }
    if !message.tool_calls.is_empty() {
        out.name("tool_calls");
        out.open_list();
        message.tool_calls.iter().for_each(|call| write_call(out, call, &call.arguments));
        out.close_list();
    }
    out.extras(&message.extras, |name, json| match name {
        "role" | "content" => false,
        "reasoning" => json != NOTE && !(message.reasoning.is_some() && noted(&message.extras, name)),
        "reasoning_content" => json != NOTE && (message.reasoning.is_none() || noted(&message.extras, "reasoning")),
        "refusal" => message.refusal.is_none(),
        "tool_call_id" => message.tool_call_id.is_none(),
        "name" => message.name.is_none(),
        "tool_calls" => message.tool_calls.is_empty(),
        _ => true,
    });
    out.close();
}

fn write_part(out: &mut Out, part: &Part) {
    match part {
        Part::Other { raw, .. } => out.raw(raw.get()),
        Part::Text { text, extras } => {
            out.open();
            out.text("type", "text");
            out.text("text", text);
            out.extras(extras, |name, _| name != "type" && name != "text");
            out.close();
        }
    }
}

/// A call with these arguments, as messages of requests and whole answers write it.
pub(in super::super) fn write_call(out: &mut Out, call: &ToolCall, arguments: &str) {
    out.open();
    if !call.id.is_empty() || call.extras.get("id").is_none() {
        out.text("id", &call.id);
    }
    let other = call.extras.get("type").is_some_and(|json| json != NOTE);
    if !other && !noted(&call.extras, "type") {
        out.text("type", "function");
    }
    if !other || !call.name.is_empty() || !call.arguments.is_empty() {
        out.name("function");
        match call.extras.get("function").and_then(|json| json.strip_suffix('}')) {
            Some(open) => out.raw(open),
            None => out.open(),
        }
        out.text("name", &call.name);
        out.text("arguments", arguments);
        out.close();
    }
    out.extras(&call.extras, |name, json| match name {
        "id" => json != NOTE && call.id.is_empty(),
        "type" => json != NOTE,
        "function" => false,
        _ => true,
    });
    out.close();
}

fn write_tool(out: &mut Out, tool: &Tool) {
    match tool {
        Tool::Other(raw) => out.raw(raw.get()),
        Tool::Function(tool) => write_definition(out, tool),
    }
}

fn write_definition(out: &mut Out, tool: &ToolDefinition) {
    out.open();
    if !noted(&tool.extras, "type") {
        out.text("type", "function");
    }
    out.name("function");
    out.open();
    out.text("name", &tool.name);
    tool.description.iter().for_each(|text| out.text("description", text));
    tool.parameters.iter().for_each(|json| out.value("parameters", json));
    out.extras(&tool.function_extras, |name, _| match name {
        "name" => false,
        "description" => tool.description.is_none(),
        "parameters" => tool.parameters.is_none(),
        _ => true,
    });
    out.close();
    out.extras(&tool.extras, |name, _| name != "type" && name != "function");
    out.close();
}
