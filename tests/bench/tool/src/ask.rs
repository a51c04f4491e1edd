//! The bodies that the load generator asks with, in each dialect: one prompt, or a coding agent's history of calls and results.

/// Which API is spoken.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Dialect {
    Chat,
    Responses,
    Messages,
}

impl Dialect {
    pub fn of(word: &str) -> Dialect {
        match word {
            "chat" => Dialect::Chat,
            "responses" => Dialect::Responses,
            "messages" => Dialect::Messages,
            other => crate::die(&format!("--dialect is chat, responses or messages, not {other}")),
        }
    }

    /// What a proper stream ends with: it stands in its last event.
    pub fn end(self) -> &'static [u8] {
        match self {
            Dialect::Chat => b"[DONE]",
            Dialect::Responses => b"event: response.completed",
            Dialect::Messages => b"\"message_stop\"",
        }
    }

    /// What a piece of the answer begins with, and where in it the mock's marker begins. Responses say the whole text again at the end.
    pub fn piece(self) -> (&'static [u8], usize) {
        match self {
            Dialect::Responses => (b"\"delta\":\"zq", 9),
            _ => (b"zq", 0),
        }
    }
}

/// What is asked.
pub struct Ask<'a> {
    pub dialect: Dialect,
    pub model: &'a str,
    /// Bytes of text in all.
    pub bytes: usize,
    /// Messages that the text is divided among; from three on calls of tools and their results by turns.
    pub messages: usize,
    /// Tools on offer.
    pub tools: usize,
    pub stream: bool,
    /// Whether a response is to be kept; other dialects have no word for it.
    pub store: bool,
}

/// Ordinary words, of so many bytes.
fn words(bytes: usize) -> String {
    "the quick brown fox jumps over the lazy dog and then it does so once more ".chars().cycle().take(bytes).collect()
}

impl Ask<'_> {
    pub fn body(&self) -> String {
        let turns = self.messages.saturating_sub(2) / 2;
        // A turn is a result of a tool, and a call half as long.
        let text = words(self.bytes * 2 / (2 + 3 * turns));
        let system = "You are a helpful assistant.";
        let mut messages = vec![format!("{{\"role\":\"user\",\"content\":\"{text}\"}}")];
        for i in 0..turns {
            messages.extend(self.turn(i, &text));
        }
        let tools: Vec<String> = (0..self.tools).map(|i| self.tool(i)).collect();
        let tools = if tools.is_empty() { String::new() } else { format!(",\"tools\":[{}]", tools.join(",")) };
        let (top, list, most) = match self.dialect {
            Dialect::Chat => (String::new(), "messages", "max_tokens"),
            Dialect::Responses => {
                (format!("\"store\":{},\"instructions\":\"{system}\",", self.store), "input", "max_output_tokens")
            }
            Dialect::Messages => (format!("\"system\":\"{system}\","), "messages", "max_tokens"),
        };
        if self.dialect == Dialect::Chat {
            messages.insert(0, format!("{{\"role\":\"system\",\"content\":\"{system}\"}}"));
        }
        format!(
            "{{\"model\":\"{}\",{top}\"{list}\":[{}]{tools},\"temperature\":0.5,\"{most}\":256,\"stream\":{}}}",
            self.model,
            messages.join(","),
            self.stream
        )
    }

    /// A call of a tool and its result.
    fn turn(&self, i: usize, text: &str) -> [String; 2] {
        let half = &text[..text.len() / 2];
        match self.dialect {
            Dialect::Chat => [
                format!(
                    "{{\"role\":\"assistant\",\"content\":\"I look.\",\"tool_calls\":[{{\"id\":\"call_{i}\",\"type\":\"function\",\
                     \"function\":{{\"name\":\"tool_0\",\"arguments\":\"{{\\\"path\\\":\\\"{half}\\\"}}\"}}}}]}}"
                ),
                format!("{{\"role\":\"tool\",\"tool_call_id\":\"call_{i}\",\"content\":\"{text}\"}}"),
            ],
            Dialect::Responses => [
                format!(
                    "{{\"role\":\"assistant\",\"content\":\"I look.\"}},{{\"type\":\"function_call\",\"call_id\":\"call_{i}\",\"name\":\"tool_0\",\
                     \"arguments\":\"{{\\\"path\\\":\\\"{half}\\\"}}\"}}"
                ),
                format!("{{\"type\":\"function_call_output\",\"call_id\":\"call_{i}\",\"output\":\"{text}\"}}"),
            ],
            Dialect::Messages => [
                format!(
                    "{{\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"I look.\"}},{{\"type\":\"tool_use\",\"id\":\"call_{i}\",\
                     \"name\":\"tool_0\",\"input\":{{\"path\":\"{half}\"}}}}]}}"
                ),
                format!(
                    "{{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"call_{i}\",\"content\":\"{text}\"}}]}}"
                ),
            ],
        }
    }

    fn tool(&self, i: usize) -> String {
        let about = words(1024);
        let schema = format!("{{\"type\":\"object\",\"properties\":{{\"path\":{{\"type\":\"string\",\"description\":\"{about}\"}}}}}}");
        match self.dialect {
            Dialect::Chat => format!(
                "{{\"type\":\"function\",\"function\":{{\"name\":\"tool_{i}\",\"description\":\"{about}\",\"parameters\":{schema}}}}}"
            ),
            Dialect::Responses => format!(
                "{{\"type\":\"function\",\"name\":\"tool_{i}\",\"description\":\"{about}\",\"strict\":false,\"parameters\":{schema}}}"
            ),
            Dialect::Messages => format!("{{\"name\":\"tool_{i}\",\"description\":\"{about}\",\"input_schema\":{schema}}}"),
        }
    }
}
