//! How a stream that fails ends in each dialect, against files: `faults` among its goldens, a file for each fault.
//!
//! Apart because it is one table of dialects and faults. It must not say what is right: that is in the files, for a person to judge.

use std::path::Path;
use std::sync::Arc;

use gatewright_types::{Chunk, Delta, Fault, FaultKind};
use serde_json::value::RawValue;

use super::anthropic_messages::AnthropicMessages;
use super::openai_chat::OpenAiChat;
use super::openai_responses::OpenAiResponses;
use super::{Asked, Begin, DialectRef};

const DIALECTS: [DialectRef; 3] = [&OpenAiChat, &AnthropicMessages, &OpenAiResponses];

fn golden(dialect: DialectRef, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect.name()).join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| format!("{error}: {}", file.display()))
}

/// An upstream's own error, in OpenAI's words.
fn limited() -> Fault {
    let error = r#"{"message":"Slow down.","type":"tokens","param":null,"code":"rate_limit_exceeded"}"#;
    let raw: &RawValue = serde_json::from_str(error).unwrap();
    super::openai_chat::fault::said(raw, &format!("{{\"error\":{error}}}").into())
}

fn faults() -> [(&'static str, Fault); 3] {
    [
        ("cut", Fault::upstream("u", FaultKind::UpstreamCut, "The upstream `u` broke off in the middle of its answer.")),
        ("late", Fault::upstream("u", FaultKind::UpstreamTimeout, "The upstream `u` stopped in the middle of its answer.")),
        ("limited", limited()),
    ]
}

/// The stream of an answer that says `Hel` and fails.
fn stream(dialect: DialectRef, fault: &Fault) -> String {
    // Some say again what was asked.
    let asked = dialect.read(golden(dialect, "plain/request.json").as_bytes(), &Asked::default()).ok();
    let echo = asked.and_then(|request| dialect.echo(&request)).map(Arc::new);
    let id = format!("{}1", dialect.id_prefix());
    let mut writer = dialect.events(Begin { id, model: "ours".into(), created: 1, echo, ..Begin::default() });
    let start = Delta::Start { id: String::new(), model: "ours".into(), created: 1 };
    let said = Delta::Text { choice: 0, text: "Hel".into() };
    let mut all = writer.event(&Chunk::of(vec![start, said])).unwrap_or_default().to_vec();
    all.extend_from_slice(&writer.fault(fault, "req-1"));
    String::from_utf8(all).unwrap()
}

#[test]
fn a_stream_that_fails_ends_as_its_dialect_has_it() {
    for dialect in DIALECTS {
        for (name, fault) in faults() {
            let (name, found) = (format!("faults/{name}.sse"), stream(dialect, &fault));
            assert!(golden(dialect, &name) == found, "{}/{name} should be\n{found}", dialect.name());
        }
    }
}
