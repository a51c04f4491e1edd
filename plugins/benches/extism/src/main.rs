//! Gatewright's plugin host beside Extism's, with the same filters, in one run: prints medians and their ratio.
//!
//! Apart from the workspace, because Extism pins a wasmtime of its own. Each side is asked as it is meant to be: ours through a chain of
//! one plugin, with limits and the record; Extism's through a `Plugin` with a time limit and a memory limit, made of a `CompiledPlugin`,
//! once with a bare text and once with the event as JSON, which says what our event says. It must not know either side's insides.

use std::path::Path;
use std::time::{Duration, Instant};

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};
use gatewright_plugins::{Chain, Context, Host, Lane, Operator, Piece, Session, Source};
use gatewright_types::{Channel, Phase, Segment};
use tokio::runtime::{Builder, Runtime};

/// Rounds of which each figure is the median; the sides take turns within a round.
const ROUNDS: usize = 41;
const CHUNK: &str = " and then the";

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let guests = std::env::args().nth(1).unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/target").to_owned());
    let guests = Path::new(&guests);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let theirs = Theirs::new(&guests.join("theirs.wasm"))?;
    println!("medians of {ROUNDS} rounds, microseconds\n");
    println!("| filter | asked | Gatewright | Extism, bare text | x | Extism, event in JSON | x |");
    println!("|---|---|---|---|---|---|---|");
    for filter in ["nothing", "find"] {
        let ours = Ours::new(&runtime, &guests.join(format!("{filter}.wasm")))?;
        for asked in ["4 KB, warm", "a chunk, warm", "5 bytes, first call"] {
            row(filter, asked, &mut Pair { ours: &ours, theirs: &theirs })?;
        }
    }
    Ok(())
}

struct Pair<'a> {
    ours: &'a Ours<'a>,
    theirs: &'a Theirs,
}

fn row(filter: &str, asked: &str, pair: &mut Pair<'_>) -> Result<(), Failed> {
    let (text, times) = match asked {
        "4 KB, warm" => (prose(4096), 500),
        "a chunk, warm" => (CHUNK.to_owned(), 500),
        _ => ("short".to_owned(), 20),
    };
    let event = format!("{filter}_event");
    let json = json(&text);
    let (mut ours, mut bare, mut full) = (Vec::new(), Vec::new(), Vec::new());
    let mut session = pair.ours.session()?;
    let mut plugin = pair.theirs.plugin()?;
    for _ in 0..ROUNDS {
        let first = asked.ends_with("first call");
        ours.push(if first { pair.ours.first(&text, times)? } else { pair.ours.warm(&mut session, &text, (asked, times)) });
        for (all, function, input) in [(&mut bare, filter, &text), (&mut full, event.as_str(), &json)] {
            let plugin = (!first).then_some(&mut plugin);
            all.push(pair.theirs.time(plugin, (function, input), times)?);
        }
    }
    let [ours, bare, full] = [ours, bare, full].map(median);
    println!("| {filter} | {asked} | {ours:.2} | {bare:.2} | {:.2} | {full:.2} | {:.2} |", bare / ours, full / ours);
    Ok(())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn each(took: Duration, times: usize) -> f64 {
    took.as_secs_f64() * 1e6 / times as f64
}

/// A chain of one of our guests.
struct Ours<'a> {
    runtime: &'a Runtime,
    chain: Chain,
}

impl<'a> Ours<'a> {
    fn new(runtime: &'a Runtime, guest: &Path) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let manifest = "name: bench\nversion: 0.0.1\nentry: plugin.wasm\nsubscribe: {phases: all, channels: all}\nwindow: 24\n";
        std::fs::write(folder.path().join("plugin.yaml"), manifest)?;
        std::fs::copy(guest, folder.path().join("plugin.wasm")).map_err(|error| format!("{}: {error}", guest.display()))?;
        let plugin = Host::new(64).load(&Source::Folder(folder.path().to_owned()), &Operator::default())?;
        Ok(Self { runtime, chain: Chain::new(vec![plugin]) })
    }

    fn session(&self) -> Result<Session, Failed> {
        Ok(self.runtime.block_on(self.chain.open(context()))?)
    }

    fn warm(&self, session: &mut Session, text: &str, (asked, times): (&str, usize)) -> f64 {
        self.runtime.block_on(async {
            if asked.starts_with("a chunk") {
                let lane = Lane { choice: 0, channel: Channel::Assistant, index: 0 };
                let pieces: Vec<_> = (0..times).map(|_| vec![Piece { lane, label: None, text: text.to_owned() }]).collect();
                let start = Instant::now();
                for pieces in pieces {
                    std::hint::black_box(session.feed(pieces, &[]).await);
                }
                return each(start.elapsed(), times);
            }
            let mut segments = segments(text);
            let start = Instant::now();
            for _ in 0..times {
                std::hint::black_box(session.inspect(Phase::Request, &mut segments).await);
            }
            each(start.elapsed(), times)
        })
    }

    fn first(&self, text: &str, times: usize) -> Result<f64, Failed> {
        let mut segments = segments(text);
        self.runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..times {
                let mut session = self.chain.open(context()).await?;
                std::hint::black_box(session.inspect(Phase::Request, &mut segments).await);
            }
            Ok(each(start.elapsed(), times))
        })
    }
}

/// Extism's plugin, compiled.
struct Theirs(CompiledPlugin);

impl Theirs {
    fn new(guest: &Path) -> Result<Self, Failed> {
        let code = std::fs::read(guest).map_err(|error| format!("{}: {error}", guest.display()))?;
        // As ours: a second, 16 MiB.
        let manifest = Manifest::new([Wasm::data(code)]).with_timeout(Duration::from_secs(1)).with_memory_max(256);
        Ok(Self(CompiledPlugin::new(PluginBuilder::new(manifest).with_wasi(false).with_cache_disabled())?))
    }

    fn plugin(&self) -> Result<Plugin, Failed> {
        Ok(Plugin::new_from_compiled(&self.0)?)
    }

    /// Calls a plugin, or a new one each time.
    fn time(&self, mut plugin: Option<&mut Plugin>, (function, input): (&str, &str), times: usize) -> Result<f64, Failed> {
        let start = Instant::now();
        for _ in 0..times {
            match &mut plugin {
                Some(plugin) => drop(std::hint::black_box(plugin.call::<&str, Vec<u8>>(function, input)?)),
                None => drop(std::hint::black_box(self.plugin()?.call::<&str, Vec<u8>>(function, input)?)),
            }
        }
        Ok(each(start.elapsed(), times))
    }
}

fn context() -> Context {
    Context {
        request_id: "req_0123456789abcdef".to_owned(),
        tenant: "tenant".to_owned(),
        key: "key-of-a-team".to_owned(),
        route: "default".to_owned(),
        model: "provider/model".to_owned(),
        parameters: r#"{"temperature":0.5}"#.to_owned(),
        ..Context::default()
    }
}

fn segments(text: &str) -> Vec<Segment> {
    vec![Segment { id: 1, channel: Channel::User, text: text.to_owned(), sent: 0, label: None }]
}

/// What our guest is shown of the same text, for Extism's.
fn json(text: &str) -> String {
    let Context { request_id, tenant, key, route, model, parameters, .. } = context();
    serde_json::json!({
        "context": {
            "request_id": request_id, "tenant": tenant, "key": key, "route": route, "model": model, "parameters": parameters,
        },
        "phase": "request",
        "segments": [{"id": 1, "channel": "user", "text": text, "sent": 0}],
        "last": true,
    })
    .to_string()
}

fn prose(bytes: usize) -> String {
    let words = "The quick brown fox jumps over the lazy dog, again and again; nothing here is to be found. ";
    words.repeat(bytes / words.len() + 1)[..bytes].to_owned()
}
