//! Our own chat template for DeepSeek-R1 and its distills, in the place of theirs.
//!
//! Apart because theirs, as published, cannot hold a conversation with tools: they are not shown to the model; the marks of a second turn
//! with calls are left out; after a tool's result the model is not made to think, nor given the turn; and a null content fails. It must not
//! know requests.

const OURS: &str = include_str!("deepseek_r1.jinja");

/// Whether a template is DeepSeek-R1's: it writes calls and what they brought as V3's does, and knows thoughts, which V3's does not. V3.1's
/// has other marks. One that looks at the tools has been repaired by somebody else.
pub(super) fn is_r1(source: &str) -> bool {
    let marks = ["<｜Assistant｜>", "<｜tool▁calls▁begin｜>", "```json", "<｜tool▁outputs▁begin｜>", "</think>"];
    marks.iter().all(|mark| source.contains(mark)) && !source.contains("tools")
}

/// Ours, for the model of that template. R1 and its distills are to be made to think, by their makers' advice; of R1-0528, whose template
/// looks for the last user, it is said that it needs no more of that.
pub(super) fn of(source: &str) -> String {
    let opens = if source.contains("is_last_user") { "false" } else { "true" };
    format!("{{%- set opens_thought = {opens} -%}}\n{OURS}")
}
