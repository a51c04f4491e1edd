//! What asking a Luau plugin costs: a warm call on 4 KB, a chunk of a stream, a request's first call; chains of ten, and of deaf ones.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod kit;

use criterion::{Criterion, criterion_group, criterion_main};
use gatewright_plugins::Chain;

const CHUNK: &str = " and then the";

fn calls(c: &mut Criterion) {
    let (nothing, find, deaf) =
        (kit::luau(kit::ALL, kit::NOTHING), kit::luau(kit::ALL, kit::FIND), kit::luau(kit::TOOLS_ONLY, kit::NOTHING));
    let prose = |bytes| kit::prose(bytes, "");
    // What a session without plugins costs.
    kit::whole(c, "luau/no plugin: warm call, 4 KB", &Chain::default(), &prose(4096));
    for (count, filters) in [(1, "one filter"), (10, "ten filters")] {
        let chain = kit::chain(nothing.path(), count);
        kit::whole(c, &format!("luau/{filters}, nothing: warm call, 4 KB"), &chain, &prose(4096));
        kit::chunk(c, &format!("luau/{filters}, nothing: chunk"), &chain, CHUNK);
        kit::first(c, &format!("luau/{filters}, nothing: first call"), &chain);
    }
    let deaf = kit::chain(deaf.path(), 10);
    kit::whole(c, "luau/ten deaf filters: warm call, 4 KB", &deaf, &prose(4096));
    kit::chunk(c, "luau/ten deaf filters: chunk", &deaf, CHUNK);
    kit::chunk(c, "luau/no plugin: chunk", &Chain::default(), CHUNK);
    kit::whole(c, "luau/find: warm call, 4 KB", &kit::chain(find.path(), 1), &prose(4096));
    let secrets = kit::chain(&kit::policy("secrets"), 1);
    kit::whole(c, "luau/secrets, nothing to scan: warm call, 1 KB", &secrets, &prose(1024));
    kit::whole(c, "luau/secrets, scanning: warm call, 1 KB", &secrets, &kit::prose(1024, " sk-learn is not one. "));
    kit::chunk(c, "luau/secrets, nothing to scan: chunk", &secrets, CHUNK);
    kit::chunk(c, "luau/secrets, scanning: chunk", &secrets, " with sk-learn");
    kit::first(c, "luau/secrets, nothing to scan: first call", &secrets);
}

criterion_group!(benches, calls);
criterion_main!(benches);
