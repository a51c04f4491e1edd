//! Items to messages: thought, words and calls that follow each other are one answer, as other dialects have it.
//!
//! Apart because it alone knows the order of items. Errors carry the path inside the list. It must not know the request's other fields,
//! but for the tools on offer, under whose names calls are told.

use gatewright_types::{Content, Extras, Fault, FaultKind, Message, Part, Role, ToolCall};
use serde_json::value::RawValue;

use super::parts::{content, joined};
use super::recall::{Recall, is_reference};
use super::tools::{Known, joined_name, known};
use super::{get, invalid, must, text};
use crate::dialects::openai_responses::sealed::{Sealed, Shown};
use crate::dialects::openai_responses::{
    AFTER, BEFORE, CALLED, CUSTOM, ITEM_ID, NAMESPACE, THOUGHT_ID, keep, keep_value, own, phase_field,
};
use crate::dialects::seal::is_seal;
use crate::dialects::wire::{self, Wrong};
use crate::dialects::{Asked, Renamed};

/// Where an item may stand in one message of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Thought,
    Word,
    Call,
}

/// Messages while they are put together.
pub(super) struct Turns<'a> {
    asked: &'a Asked<'a>,
    tools: Known<'a>,
    recall: Recall<'a>,
    messages: Vec<Message>,
    /// While the last message is an answer to which more may be added: what came last.
    rank: Option<Rank>,
    /// An item that we do not know stands after it: more of the answer is another message, or it would stand before that.
    is_behind: bool,
    /// The thought of the last message has an id: it is not looked for among all that the message may have.
    is_named: bool,
    /// The id of an item that was kept.
    id: Option<String>,
    /// Items that we do not know and that come before the first message.
    before: Extras,
}

impl<'a> Turns<'a> {
    pub(super) fn new(asked: &'a Asked<'a>, tools: &'a [Renamed]) -> Self {
        let (tools, recall, messages, before) = (known(tools), Recall::new(asked), Vec::new(), Extras::new());
        Self { asked, tools, recall, messages, rank: None, is_behind: false, is_named: false, id: None, before }
    }

    /// The messages.
    pub(super) fn done(mut self) -> Vec<Message> {
        if let Some(first) = self.messages.first_mut() {
            first.extras.append(self.before);
        }
        self.messages
    }

    /// The fault of an item that is wrong, or is too much.
    pub(super) fn fault(&self, wrong: Wrong) -> Fault {
        let Some(most) = self.recall.over() else { return invalid(wrong) };
        let message = format!("What the request recalls is larger than this gateway's limit of {most} bytes.");
        Fault::caller(FaultKind::BodyTooLarge, message).at(wrong.path)
    }

    /// The conversation up to an answer that was kept, which is among it: whether it is there.
    pub(super) fn follow(&mut self, id: &str) -> Result<bool, Wrong> {
        let Some(items) = self.recall.all(id) else { return Ok(false) };
        self.bounded()?;
        items.into_iter().try_for_each(|item| self.kept(item))?;
        Ok(true)
    }

    fn bounded(&self) -> Result<(), Wrong> {
        self.recall.over().map_or(Ok(()), |_| Err(Wrong::says("it recalls too much")))
    }

    /// A string, which a user says, or a list of items.
    pub(super) fn input(&mut self, raw: &RawValue) -> Result<(), Wrong> {
        if wire::is_string(raw) {
            self.push(Message::text(Role::User, wire::string(raw)?));
            return Ok(());
        }
        let items = wire::items(raw).map_err(|_| Wrong::kind("a string or an array of items", raw))?;
        items.into_iter().enumerate().try_for_each(|(at, item)| self.item(item).map_err(|wrong| wrong.item(at)))
    }

    /// One item, or the name of one.
    fn item(&mut self, raw: &RawValue) -> Result<(), Wrong> {
        let fields = wire::object(raw)?;
        if !is_reference(&fields) {
            return self.plain(raw);
        }
        let id = must(&fields, "id")?;
        let kept = self.recall.item(&id).ok_or_else(|| Wrong::says(format!("there is no kept item `{id}`")).within("id"))?;
        self.bounded()?;
        self.kept(kept)
    }

    /// One that was kept: it stays known by its id.
    fn kept(&mut self, (id, raw): (String, &RawValue)) -> Result<(), Wrong> {
        self.id = Some(id);
        let read = self.plain(raw);
        self.id = None;
        read
    }

    /// One item that is there itself.
    fn plain(&mut self, raw: &RawValue) -> Result<(), Wrong> {
        let fields = wire::object(raw)?;
        let kind = text(&fields, "type")?;
        match kind.as_deref() {
            // The easy form of a message has no type.
            None if get(&fields, "role").is_some() => self.message(&fields),
            Some("message") => self.message(&fields),
            Some("reasoning") => self.reasoning(&fields),
            Some("function_call") => self.call(&fields, |fields| Ok(text(fields, "arguments")?.unwrap_or_default())),
            Some("custom_tool_call") => {
                self.call(&fields, |fields| Ok(serde_json::json!({ "input": must(fields, "input")? }).to_string()))
            }
            Some("function_call_output" | "custom_tool_call_output") => self.result(&fields),
            None => Err(Wrong::says("expected the type of the item, such as 'message', but it is missing").within("type")),
            Some(_) => {
                self.unknown(raw);
                Ok(())
            }
        }
    }

    /// A message that is no part of an answer.
    fn push(&mut self, mut message: Message) {
        (self.rank, self.is_behind) = (None, false);
        self.name(ITEM_ID, &mut message.extras);
        self.messages.push(message);
    }

    /// Puts down the id of an item that was kept; of several in one place, that of the first.
    fn name(&self, field: &str, extras: &mut Extras) {
        if let Some(id) = self.id.as_ref().filter(|_| own(extras, field).is_none()) {
            keep_value(extras, field, id);
        }
    }

    /// The message of an answer that this is added to: the last one, or a new one.
    fn answer(&mut self, rank: Rank) -> Option<&mut Message> {
        let fits = self.rank.is_some_and(|last| last < rank || (last == rank && rank != Rank::Word));
        if !fits || self.is_behind {
            // After calls the answer goes on; words after words are another message.
            let silent = |last: &Message| last.content == Content::Null && last.refusal.is_none();
            let goes_on = || rank == Rank::Call || self.messages.last().is_some_and(silent);
            let continues = self.rank == Some(Rank::Call) || (self.is_behind && goes_on());
            self.messages.push(Message { content: Content::Null, continues, ..Message::text(Role::Assistant, "") });
            self.is_named = false;
        }
        self.is_behind = false;
        self.rank = Some(rank);
        self.messages.last_mut()
    }

    fn message(&mut self, fields: &wire::Fields<'_>) -> Result<(), Wrong> {
        let role = match must(fields, "role")?.as_str() {
            "user" => Role::User,
            "system" => Role::System,
            "developer" => Role::Developer,
            "assistant" => Role::Assistant,
            _ => return Err(Wrong::says("expected one of 'user', 'assistant', 'system' or 'developer'").within("role")),
        };
        let missing = || Wrong::says("expected a string or an array of content parts, but it is missing").within("content");
        let said = get(fields, "content").ok_or_else(missing)?;
        let mut message = Message::text(role, "");
        content(&mut message, said).map_err(|wrong| wrong.within("content"))?;
        if message.role != Role::Assistant {
            self.push(message);
            return Ok(());
        }
        if message.refusal.is_some() && matches!(&message.content, Content::Parts(parts) if parts.is_empty()) {
            message.content = Content::Null;
        }
        if let Some(phase) = text(fields, "phase")? {
            let fits = (1..=32).contains(&phase.len()) && phase.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
            if !fits {
                return Err(Wrong::says("expected one of 'commentary' or 'final_answer'").within("phase"));
            }
            keep_value(&mut message.extras, phase_field(&phase), &phase);
        }
        self.name(ITEM_ID, &mut message.extras);
        if let Some(answer) = self.answer(Rank::Word) {
            (answer.content, answer.refusal) = (message.content, message.refusal);
            answer.extras.append(message.extras);
        }
        Ok(())
    }

    /// Thought: under our own seal it is what was sealed; in the open it is what it says. A vendor's seal goes along, for that vendor; one
    /// that would be ours and is not is dropped.
    fn reasoning(&mut self, fields: &wire::Fields<'_>) -> Result<(), Wrong> {
        let sealed = text(fields, "encrypted_content")?.filter(|sealed| !sealed.is_empty());
        let opened = sealed.as_deref().and_then(|sealed| self.asked.sealer?.open(sealed));
        let mut shown = Shown::Text;
        let mut thought = match &opened {
            Some(thought) => thought.clone(),
            None => joined(fields, "content")?,
        };
        if thought.is_empty() {
            (thought, shown) = (joined(fields, "summary")?, Shown::Summary);
        }
        let word = get(fields, "encrypted_content").filter(|_| sealed.is_some_and(|sealed| !is_seal(&sealed)));
        if thought.is_empty() && word.is_none() {
            return Ok(());
        }
        self.answer(Rank::Thought);
        let mut named = Extras::new();
        if self.id.is_some() && !std::mem::replace(&mut self.is_named, true) {
            self.name(THOUGHT_ID, &mut named);
        }
        let Some(answer) = self.messages.last_mut() else { return Ok(()) };
        answer.extras.append(named);
        let from = answer.reasoning.as_ref().map_or(0, String::len);
        if let Some(word) = word {
            Sealed::read((from, &thought), shown, word).put(&mut answer.extras);
        }
        if !thought.is_empty() {
            answer.reasoning.get_or_insert_default().push_str(&thought);
        }
        Ok(())
    }

    fn call(
        &mut self,
        fields: &wire::Fields<'_>,
        arguments: impl Fn(&wire::Fields<'_>) -> Result<String, Wrong>,
    ) -> Result<(), Wrong> {
        let (id, name, namespace) = (must(fields, "call_id")?, must(fields, "name")?, text(fields, "namespace")?);
        let mut extras = Extras::new();
        self.name(ITEM_ID, &mut extras);
        let name = match self.tools.get(&(&*name, namespace.as_deref())) {
            Some(called) => (*called).to_owned(),
            // Its vendor had it from elsewhere than the tools on offer.
            None => {
                if get(fields, "type").is_some_and(|kind| kind.get() == "\"custom_tool_call\"") {
                    keep_value(&mut extras, CUSTOM, &true);
                }
                namespace.map_or_else(
                    || name.clone(),
                    |space| {
                        keep_value(&mut extras, CALLED, &name);
                        keep_value(&mut extras, NAMESPACE, &space);
                        joined_name(&space, &name)
                    },
                )
            }
        };
        let call = ToolCall { id, name, arguments: arguments(fields)?, extras };
        if let Some(answer) = self.answer(Rank::Call) {
            answer.tool_calls.push(call);
        }
        Ok(())
    }

    fn result(&mut self, fields: &wire::Fields<'_>) -> Result<(), Wrong> {
        let mut message = Message { tool_call_id: Some(must(fields, "call_id")?), ..Message::text(Role::Tool, "") };
        if let Some(output) = get(fields, "output") {
            content(&mut message, output).map_err(|wrong| wrong.within("output"))?;
        }
        // A tool refuses nothing: that is a text like any other.
        if let Some(text) = message.refusal.take() {
            let said = Part::Text { text, extras: Extras::new() };
            match &mut message.content {
                Content::Parts(parts) => parts.push(said),
                content => *content = Content::Parts(vec![said]),
            }
        }
        self.push(message);
        Ok(())
    }

    /// An item of a kind that we do not know, such as what a vendor's own tool did: it stays where it stood, beside a message. Plugins
    /// see it, and other dialects leave it out.
    fn unknown(&mut self, raw: &RawValue) {
        match self.messages.last_mut() {
            Some(last) => {
                self.is_behind = self.rank.is_some();
                keep(&mut last.extras, AFTER, raw);
            }
            None => keep(&mut self.before, BEFORE, raw),
        }
    }
}
