//! What asking a Luau plugin costs: a warm call on 4 KB, a chunk of a stream, opening a session, and the `secrets` policy.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gatewright_plugins::{Chain, Context, Host, Lane, Operator, Piece, Source};
use gatewright_types::{Channel, Phase, Segment};
use tokio::runtime::{Builder, Runtime};

const NOTHING: &str = "return { inspect = function(ctx, event) end }";
const FIND: &str = "return { inspect = function(ctx, event)
    for _, s in event.segments do
        local a, b = string.find(s.text, 'needle', s.sent + 1, true)
        if a then return { edit(s, a, b, 'x') } end
    end
end }";

fn written(code: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "name: bench\nversion: 0.0.1\nentry: plugin.luau\nsubscribe: {phases: all, channels: all}\nwindow: 24\n";
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.luau"), code).unwrap();
    folder
}

fn chain(folder: &Path) -> Chain {
    let operator = Operator { grants: vec!["settings".into()], ..Operator::default() };
    Chain::new(vec![Host::new(4).load(&Source::Folder(folder.to_owned()), &operator).unwrap()])
}

fn prose(bytes: usize) -> String {
    "The quick brown fox jumps over the lazy dog, again and again; nothing here is secret. ".repeat(bytes / 80 + 1)[..bytes]
        .to_owned()
}

fn whole(c: &mut Criterion, name: &str, chain: &Chain, bytes: usize) {
    let runtime = runtime();
    let mut session = runtime.block_on(chain.open(Context::default())).unwrap();
    let mut segments = vec![Segment { id: 1, channel: Channel::User, text: prose(bytes), sent: 0, label: None }];
    c.bench_function(name, |b| b.iter(|| runtime.block_on(session.inspect(Phase::Request, &mut segments))));
}

fn chunks(c: &mut Criterion, name: &str, chain: &Chain) {
    let runtime = runtime();
    let mut session = runtime.block_on(chain.open(Context::default())).unwrap();
    let lane = Lane { choice: 0, channel: Channel::Reasoning, index: 0 };
    let piece = || vec![Piece { lane, label: None, text: " a few words more".into() }];
    c.bench_function(name, |b| b.iter_batched(piece, |pieces| runtime.block_on(session.feed(pieces, &[])), BatchSize::SmallInput));
}

fn open(c: &mut Criterion, name: &str, chain: &Chain) {
    let runtime = runtime();
    let mut segments = vec![Segment { id: 1, channel: Channel::User, text: "short".into(), sent: 0, label: None }];
    c.bench_function(name, |b| {
        b.iter(|| {
            runtime.block_on(async {
                let mut session =
                    chain.open(Context { parameters: r#"{"temperature":0.5}"#.into(), ..Context::default() }).await.unwrap();
                session.inspect(Phase::Request, &mut segments).await
            })
        });
    });
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

fn calls(c: &mut Criterion) {
    let (nothing, find) = (written(NOTHING), written(FIND));
    let (nothing, find) = (chain(nothing.path()), chain(find.path()));
    let secrets: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/secrets");
    let secrets = chain(&secrets);
    whole(c, "empty guest, 4 KB", &nothing, 4096);
    whole(c, "plain search, 4 KB", &find, 4096);
    whole(c, "secrets, 1 KB", &secrets, 1024);
    whole(c, "secrets, 4 KB", &secrets, 4096);
    chunks(c, "empty guest, chunk", &nothing);
    chunks(c, "secrets, chunk", &secrets);
    open(c, "open a session and ask once, empty guest", &nothing);
    open(c, "open a session and ask once, secrets", &secrets);
}

criterion_group!(benches, calls);
criterion_main!(benches);
