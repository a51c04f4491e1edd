//! What a WASM policy costs: a session with its instance, a warm call, a chunk of a stream. The policy is topic-deny with 20 terms.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use gatewright_plugins::{Chain, Context, Host, Lane, Operator, Piece, Source};
use gatewright_types::{Channel, Phase, Segment};

const CHUNK: &str = " and then the";

fn chain() -> Chain {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/topic-deny");
    let terms: Vec<String> = (0..20).map(|at| format!("forbidden topic {}", char::from(b'a' + at))).collect();
    let operator =
        Operator { settings: serde_json::json!({"terms": terms}), grants: vec!["settings".into()], ..Operator::default() };
    Chain::new(vec![Host::new(8).load(&Source::Folder(folder), &operator).unwrap()])
}

fn segments(text: &str) -> Vec<Segment> {
    vec![Segment { id: 1, channel: Channel::User, text: text.to_owned(), sent: 0, label: None }]
}

fn wasm(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let chain = chain();
    criterion.bench_function("wasm/session and first call", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let mut session = chain.open(Context::default()).await.unwrap();
                black_box(session.inspect(Phase::Request, &mut segments("hello")).await)
            })
        });
    });
    for (name, text) in
        [("5 B", "hello".to_owned()), ("1 KiB", "lorem ipsum dolor ".repeat(57)), ("16 KiB", "lorem ipsum ".repeat(1360))]
    {
        criterion.bench_function(&format!("wasm/warm call, {name}"), |bencher| {
            let mut session = runtime.block_on(chain.open(Context::default())).unwrap();
            bencher.iter(|| runtime.block_on(session.inspect(Phase::Request, &mut segments(&text))));
        });
    }
    criterion.bench_function("wasm/chunk", |bencher| {
        let mut session = runtime.block_on(chain.open(Context::default())).unwrap();
        let lane = Lane { choice: 0, channel: Channel::Assistant, index: 0 };
        bencher.iter(|| {
            let piece = Piece { lane, label: None, text: CHUNK.to_owned() };
            black_box(runtime.block_on(session.feed(vec![piece], &[])))
        });
    });
}

criterion_group!(benches, wasm);
criterion_main!(benches);
