//! What asking a WASM plugin costs: the same as `calls` measures of Luau, with Rust guests and topic-deny with 20 terms.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod kit;

use criterion::{Criterion, criterion_group, criterion_main};

const CHUNK: &str = " and then the";

fn wasm(c: &mut Criterion) {
    let prose = |bytes| kit::prose(bytes, "");
    if let (Some(nothing), Some(find)) = (kit::guest("nothing"), kit::guest("find")) {
        for (count, filters) in [(1, "one filter"), (10, "ten filters")] {
            let chain = kit::chain(nothing.path(), count);
            kit::whole(c, &format!("wasm/{filters}, nothing: warm call, 4 KB"), &chain, &prose(4096));
            kit::chunk(c, &format!("wasm/{filters}, nothing: chunk"), &chain, CHUNK);
            kit::first(c, &format!("wasm/{filters}, nothing: first call"), &chain);
        }
        kit::whole(c, "wasm/find: warm call, 4 KB", &kit::chain(find.path(), 1), &prose(4096));
    }
    let topics = kit::chain(&kit::policy("topic-deny"), 1);
    kit::whole(c, "wasm/topic-deny, nothing to scan: warm call, 1 KB", &topics, &prose(1024));
    kit::whole(c, "wasm/topic-deny, scanning: warm call, 1 KB", &topics, &kit::prose(1024, " forbidden tops are fine. "));
    kit::whole(c, "wasm/topic-deny, scanning: warm call, 16 KB", &topics, &kit::prose(16384, " forbidden tops are fine. "));
    kit::chunk(c, "wasm/topic-deny, nothing to scan: chunk", &topics, CHUNK);
    kit::chunk(c, "wasm/topic-deny, scanning: chunk", &topics, " for the rest");
    kit::chunk(c, "wasm/topic-deny, a near miss in each: chunk", &topics, " forbidden tops or");
    kit::first(c, "wasm/topic-deny, nothing to scan: first call", &topics);
}

criterion_group!(benches, wasm);
criterion_main!(benches);
