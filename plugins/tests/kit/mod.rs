//! What the plugin host's tests share: plugins written in place, segments, and streams cut anywhere.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; each uses a part of the kit"
)]

pub mod wat;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use gatewright_plugins::cases::cut;
use gatewright_plugins::{Chain, Context, Host, Lane, Mode, OnError, Operator, Piece, Plugin, Session, Source, Verdict};
use gatewright_types::{Channel, Phase, Segment};

/// A plugin folder that lasts as long as the test.
pub struct Written {
    folder: tempfile::TempDir,
}

/// Everything is heard; the window is 8.
pub const ALL: &str = "subscribe: {phases: all, channels: all}\nwindow: 8\n";

/// Writes a Luau plugin with a manifest of `name: test` and what `more` adds.
pub fn written(more: &str, code: &str) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name: test\nversion: 0.0.1\nentry: plugin.luau\n{more}");
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.luau"), code).unwrap();
    Written { folder }
}

impl Written {
    pub fn source(&self) -> Source {
        Source::Folder(self.folder.path().to_owned())
    }
}

pub fn operator() -> Operator {
    Operator { grants: vec!["log".into(), "settings".into()], ..Operator::default() }
}

pub fn named(name: &str) -> Operator {
    Operator { name: Some(name.into()), ..operator() }
}

pub fn shadow() -> Operator {
    Operator { mode: Mode::Shadow, ..operator() }
}

pub fn open_on_error() -> Operator {
    Operator { on_error: Some(OnError::Open), ..operator() }
}

pub fn limited(name: &str, number: u64) -> Operator {
    Operator { limits: BTreeMap::from([(name.to_owned(), number)]), ..operator() }
}

pub fn load(host: &Host, more: &str, code: &str, operator: &Operator) -> Arc<Plugin> {
    host.load(&written(more, code).source(), operator).unwrap()
}

/// A chain of one Luau plugin that hears everything.
pub fn chain(code: &str) -> Chain {
    Chain::new(vec![load(&Host::new(4), ALL, code, &operator())])
}

pub async fn session(chain: &Chain) -> Session {
    chain.open(Context { request_id: "r1".into(), tenant: "t1".into(), ..Context::default() }).await.unwrap()
}

pub fn segment(id: u32, channel: Channel, text: &str) -> Segment {
    Segment { id, channel, text: text.into(), sent: 0, label: None }
}

pub fn user(text: &str) -> Vec<Segment> {
    vec![segment(1, Channel::User, text)]
}

/// Asks about one user text in phase `request`, in a session of its own.
pub async fn ask(chain: &Chain, text: &str) -> (Verdict, String) {
    let mut segments = user(text);
    let outcome = session(chain).await.inspect(Phase::Request, &mut segments).await;
    (outcome.verdict, segments.remove(0).text)
}

pub fn lane(channel: Channel) -> Lane {
    Lane { choice: 0, channel, index: 0 }
}

pub fn piece(channel: Channel, text: &str) -> Piece {
    Piece { lane: lane(channel), label: None, text: text.into() }
}

/// What comes out of a stream of chunks on one channel.
pub async fn stream(chain: &Chain, channel: Channel, chunks: &[String]) -> (Verdict, String) {
    let mut session = session(chain).await;
    let mut out = String::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let ended = if index + 1 == chunks.len() { vec![lane(channel)] } else { Vec::new() };
        let released = session.feed(vec![piece(channel, chunk)], &ended).await;
        out.extend(released.pieces.iter().map(|piece| piece.text.as_str()));
        if released.verdict != Verdict::Pass {
            return (released.verdict, out);
        }
    }
    (Verdict::Pass, out)
}
