//! The mock's answers in Responses: whole, and the events of a stream, which says its text piece by piece and then four times more.

/// The events of one stream: each has a number, and the last ones say the whole text again.
#[derive(Default)]
pub struct Events {
    number: usize,
    said: String,
}

/// What stands around the output of a response.
fn response(status: &str, output: &str, usage: &str) -> String {
    format!(
        "{{\"id\":\"resp_mock0001\",\"object\":\"response\",\"created_at\":1700000000,\"status\":\"{status}\",\"background\":false,\
         \"error\":null,\"incomplete_details\":null,\"instructions\":null,\"max_output_tokens\":null,\"model\":\"gpt-4o-mini\",\
         \"output\":[{output}],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"reasoning\":{{\"effort\":null,\"summary\":null}},\
         \"store\":false,\"temperature\":1.0,\"text\":{{\"format\":{{\"type\":\"text\"}}}},\"tool_choice\":\"auto\",\"tools\":[],\
         \"top_p\":1.0,\"truncation\":\"disabled\",\"usage\":{usage},\"user\":null,\"metadata\":{{}}}}"
    )
}

fn part(text: &str) -> String {
    format!("{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"{text}\"}}")
}

fn item(status: &str, content: &str) -> String {
    format!("{{\"id\":\"msg_mock0001\",\"type\":\"message\",\"status\":\"{status}\",\"content\":[{content}],\"role\":\"assistant\"}}")
}

fn usage(output: usize) -> String {
    format!(
        "{{\"input_tokens\":100,\"input_tokens_details\":{{\"cached_tokens\":0}},\"output_tokens\":{output},\
         \"output_tokens_details\":{{\"reasoning_tokens\":0}},\"total_tokens\":{}}}",
        100 + output
    )
}

pub fn whole(text: &str) -> String {
    response("completed", &item("completed", &part(text)), &usage(50))
}

const AT: &str = "\"item_id\":\"msg_mock0001\",\"output_index\":0,\"content_index\":0";

impl Events {
    /// Writes one event as a chunk of the transfer coding.
    fn put(&mut self, out: &mut Vec<u8>, kind: &str, fields: &str) {
        let data = format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{},{fields}}}\n\n", self.number);
        out.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
        self.number += 1;
    }

    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let response = format!("\"response\":{}", response("in_progress", "", "null"));
        self.put(out, "response.created", &response);
        self.put(out, "response.in_progress", &response);
        self.put(out, "response.output_item.added", &format!("\"output_index\":0,\"item\":{}", item("in_progress", "")));
        self.put(out, "response.content_part.added", &format!("{AT},\"part\":{}", part("")));
    }

    pub fn piece(&mut self, out: &mut Vec<u8>, text: &str) {
        self.said.push_str(text);
        self.put(out, "response.output_text.delta", &format!("{AT},\"delta\":\"{text}\",\"logprobs\":[]"));
    }

    pub fn end(&mut self, out: &mut Vec<u8>, pieces: usize) {
        let said = std::mem::take(&mut self.said);
        self.put(out, "response.output_text.done", &format!("{AT},\"text\":\"{said}\",\"logprobs\":[]"));
        self.put(out, "response.content_part.done", &format!("{AT},\"part\":{}", part(&said)));
        let item = item("completed", &part(&said));
        self.put(out, "response.output_item.done", &format!("\"output_index\":0,\"item\":{item}"));
        self.put(out, "response.completed", &format!("\"response\":{}", response("completed", &item, &usage(pieces))));
    }
}
