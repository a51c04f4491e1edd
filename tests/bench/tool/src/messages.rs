//! The mock's answers in Anthropic's Messages: whole, and the events of a stream.

/// Writes one event as a chunk of the transfer coding.
fn put(out: &mut Vec<u8>, kind: &str, fields: &str) {
    let data = format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{fields}}}\n\n");
    out.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
}

pub fn whole(text: &str) -> String {
    format!(
        "{{\"id\":\"msg_mock0001\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt-4o-mini\",\
         \"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\
         \"usage\":{{\"input_tokens\":100,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":50}}}}"
    )
}

pub fn begin(out: &mut Vec<u8>) {
    put(
        out,
        "message_start",
        ",\"message\":{\"id\":\"msg_mock0001\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt-4o-mini\",\"content\":[],\
         \"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}",
    );
    put(out, "content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
}

pub fn piece(out: &mut Vec<u8>, text: &str) {
    put(out, "content_block_delta", &format!(",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}"));
}

pub fn end(out: &mut Vec<u8>, pieces: usize) {
    put(out, "content_block_stop", ",\"index\":0");
    let usage = format!(",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":{pieces}}}");
    put(out, "message_delta", &usage);
    put(out, "message_stop", "");
}
