//! Which text of an answer is thought and which is said: switched by the ids of `<think>` and `</think>`.
//!
//! Apart because it is pure. It must not know sampling or stop texts. As other servers do, it trims line breaks around a thought and
//! before the answer that follows it.

use crate::tokens::ThinkIds;

/// Where a sequence's text goes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Thought.
    Reasoning,
    /// Visible text.
    #[default]
    Text,
}

/// What a token is to the splitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A piece of text.
    Plain,
    /// It switches the channel and has no text.
    Switch,
}

/// Splits one sequence's text.
#[derive(Debug)]
pub(crate) struct Splitter {
    think: Option<ThinkIds>,
    channel: Channel,
    /// Line breaks at the start of the channel's text are dropped until something else comes.
    fresh: bool,
    /// Line breaks at the end of a thought: dropped if it ends here, given if it goes on.
    held: String,
}

impl Splitter {
    /// `start` is the channel that the prompt left open.
    pub(crate) fn new(think: Option<ThinkIds>, start: Channel) -> Self {
        Self { think, channel: start, fresh: start == Channel::Reasoning, held: String::new() }
    }

    /// The channel that text now goes to.
    pub(crate) fn channel(&self) -> Channel {
        self.channel
    }

    /// Takes note of a token; ask before its text is pushed.
    pub(crate) fn note(&mut self, id: u32) -> Mark {
        let Some(think) = self.think else { return Mark::Plain };
        let to = if id == think.open {
            Channel::Reasoning
        } else if id == think.close {
            Channel::Text
        } else {
            return Mark::Plain;
        };
        if to != self.channel {
            (self.channel, self.fresh) = (to, true);
            self.held.clear();
        }
        Mark::Switch
    }

    /// From here on to the next mark line breaks at the start are text like any other.
    pub(crate) fn keep_lines(&mut self) {
        self.fresh = false;
    }

    /// The part of the text that may be given now.
    pub(crate) fn push(&mut self, text: &str) -> String {
        let mut text = text;
        if self.fresh {
            text = text.trim_start_matches(['\n', '\r']);
            self.fresh = text.is_empty();
        }
        if text.is_empty() || self.channel == Channel::Text {
            return text.to_owned();
        }
        let kept = text.trim_end_matches(['\n', '\r']);
        if kept.is_empty() {
            self.held.push_str(text);
            return String::new();
        }
        let mut given = std::mem::take(&mut self.held);
        given.push_str(kept);
        self.held.push_str(&text[kept.len()..]);
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THINK: ThinkIds = ThinkIds { open: 1, close: 2 };

    /// Id 0 stands before each text.
    fn split(start: Channel, steps: &[(u32, &str)]) -> (String, String) {
        let mut s = Splitter::new(Some(THINK), start);
        let (mut thought, mut said) = (String::new(), String::new());
        for (id, text) in steps {
            if s.note(*id) == Mark::Plain {
                let given = s.push(text);
                if s.channel() == Channel::Reasoning { &mut thought } else { &mut said }.push_str(&given);
            }
        }
        (thought, said)
    }

    #[test]
    fn a_thought_that_the_prompt_opened() {
        let got =
            split(Channel::Reasoning, &[(0, "hm\n"), (0, "\nwell"), (0, "\n"), (2, ""), (0, "\n"), (0, "\nyes\n"), (0, "no\n")]);
        assert_eq!(got, ("hm\n\nwell".to_owned(), "yes\nno\n".to_owned()));
    }

    #[test]
    fn a_thought_that_the_model_opens() {
        let got = split(Channel::Text, &[(1, ""), (0, "\nhm"), (0, "\n"), (2, ""), (0, "\n\nyes")]);
        assert_eq!(got, ("hm".to_owned(), "yes".to_owned()));
    }

    #[test]
    fn an_answer_without_thought_is_untouched() {
        assert_eq!(split(Channel::Text, &[(0, "\nyes\n")]), (String::new(), "\nyes\n".to_owned()));
        assert_eq!(split(Channel::Text, &[(2, ""), (0, "\nyes")]), (String::new(), "\nyes".to_owned()));
        let mut none = Splitter::new(None, Channel::Text);
        assert_eq!(none.note(1), Mark::Plain);
    }
}
