//! What the benchmarks share: plugins to measure, texts to show them, and a clock around questions asked in a row.
//!
//! Apart so that Luau and WASM are asked in the same way. It must not know what a figure should be.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::Criterion;
use gatewright_plugins::{Chain, Context, Host, Lane, Mode, Operator, Piece, Session, Source};
use gatewright_types::{Channel, Phase, Segment};
use tokio::runtime::{Builder, Runtime};

/// A Luau filter that returns at once.
pub const NOTHING: &str = "return { inspect = function(ctx, event) end }";
/// A Luau filter that looks for a word.
pub const FIND: &str = "return { inspect = function(ctx, event)
    for _, s in event.segments do
        local a, b = string.find(s.text, 'needle', s.sent + 1, true)
        if a then return { edit(s, a, b, 'x') } end
    end
end }";
/// Everything is heard; a stream is held back as a redactor of words would.
pub const ALL: &str = "subscribe: {phases: all, channels: all}\nwindow: 24\n";
/// Nothing of a request is heard.
pub const TOOLS_ONLY: &str = "subscribe: {phases: [tool-result], channels: all}\nwindow: 24\n";

/// Luau code in a folder with a manifest of these lines.
pub fn luau(heard: &str, code: &str) -> tempfile::TempDir {
    folder(&format!("entry: plugin.luau\n{heard}"), code.as_bytes())
}

/// One of `benches/guests`, if it has been built.
pub fn guest(name: &str) -> Option<tempfile::TempDir> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/guests/target/{name}.wasm"));
    match std::fs::read(&path) {
        Ok(code) => Some(folder(&format!("entry: plugin.wasm\n{ALL}"), &code)),
        Err(_) => {
            println!("skipped: {} is missing; README.md says how it is built", path.display());
            None
        }
    }
}

fn folder(manifest: &str, code: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let entry = if manifest.starts_with("entry: plugin.luau") { "plugin.luau" } else { "plugin.wasm" };
    std::fs::write(folder.path().join("plugin.yaml"), format!("name: bench\nversion: 0.0.1\n{manifest}")).unwrap();
    std::fs::write(folder.path().join(entry), code).unwrap();
    folder
}

pub fn policy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name)
}

/// What the operator says: the settings that topic-deny cannot do without, with twenty terms.
pub fn operator(name: &str) -> Operator {
    let terms: Vec<String> = (0..20).map(|at| format!("forbidden topic {}", char::from(b'a' + at))).collect();
    let settings = if name == "topic-deny" { serde_json::json!({"terms": terms}) } else { serde_json::Value::Null };
    Operator { mode: Mode::Enforce, settings, grants: vec!["settings".into()], ..Operator::default() }
}

/// A chain of so many of the plugin in this folder.
pub fn chain(folder: &Path, length: usize) -> Chain {
    let host = Host::new(64);
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let load = |at| {
        let operator = Operator { name: Some(format!("bench-{at}")), ..operator(name) };
        host.load(&Source::Folder(folder.to_owned()), &operator).unwrap()
    };
    Chain::new((0..length).map(load).collect())
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Text of so many bytes in which nobody finds anything; with `bait` in the middle.
pub fn prose(bytes: usize, bait: &str) -> String {
    let words = "The quick brown fox jumps over the lazy dog, again and again; nothing here is to be found. ";
    let mut text = words.repeat(bytes / words.len() + 1)[..bytes].to_owned();
    text.replace_range(bytes / 2..(bytes / 2 + bait.len()).min(bytes), &bait[..bait.len().min(bytes - bytes / 2)]);
    text
}

pub fn segments(text: &str) -> Vec<Segment> {
    vec![Segment { id: 1, channel: Channel::User, text: text.to_owned(), sent: 0, label: None }]
}

pub fn context() -> Context {
    let text = |it: &str| it.to_owned();
    Context {
        request_id: text("req_0123456789abcdef"),
        conversation: None,
        tenant: text("tenant"),
        key: text("key-of-a-team"),
        team: Some(text("team")),
        route: text("default"),
        model: text("provider/model"),
        parameters: text(r#"{"temperature":0.5}"#),
        ..Context::default()
    }
}

pub fn piece(text: &str) -> Vec<Piece> {
    vec![Piece { lane: Lane { choice: 0, channel: Channel::Assistant, index: 0 }, label: None, text: text.to_owned() }]
}

/// A warm call about whole text.
pub fn whole(c: &mut Criterion, name: &str, chain: &Chain, text: &str) {
    let runtime = runtime();
    let mut session = runtime.block_on(chain.open(context())).unwrap();
    let mut segments = segments(text);
    c.bench_function(name, |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    std::hint::black_box(session.inspect(Phase::Request, &mut segments).await);
                }
                start.elapsed()
            })
        });
    });
}

/// A piece of a stream. Its text is made before the clock starts.
pub fn chunk(c: &mut Criterion, name: &str, chain: &Chain, text: &str) {
    let runtime = runtime();
    let mut session = runtime.block_on(chain.open(context())).unwrap();
    c.bench_function(name, |b| b.iter_custom(|times| runtime.block_on(feed(&mut session, text, times))));
}

async fn feed(session: &mut Session, text: &str, times: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for from in (0..times).step_by(256) {
        let pieces: Vec<_> = (from..times.min(from + 256)).map(|_| piece(text)).collect();
        let start = Instant::now();
        for pieces in pieces {
            std::hint::black_box(session.feed(pieces, &[]).await);
        }
        spent += start.elapsed();
    }
    spent
}

/// A request from its beginning: its instances are taken or made, and asked once about a short text.
pub fn first(c: &mut Criterion, name: &str, chain: &Chain) {
    let runtime = runtime();
    let mut segments = segments("short");
    c.bench_function(name, |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let mut session = chain.open(context()).await.unwrap();
                    std::hint::black_box(session.inspect(Phase::Request, &mut segments).await);
                }
                start.elapsed()
            })
        });
    });
}
