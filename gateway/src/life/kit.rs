//! For tests: a host with scripted upstreams and plugins written on the spot, and requests sent through the real router.
//!
//! Apart because the tests of several stages use it. It must not be compiled into the gateway.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use futures_util::stream;
use gatewright_plugins::{Mode, Operator};
use gatewright_types::{ChatRequest, Chunk, Delta, Fault, FinishReason, Raw};
use http_body_util::BodyExt;
use tower_service::Service;

use crate::clock::{FixedClock, Ids};
use crate::config::facts::{Facts, LegFact, LegTarget, ModelFact, PluginFact, ReachFact, RouteFact};
use crate::dialects::Dialect;
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::openai_chat::delta::Reader;
use crate::environment::Environment;
use crate::host::{Engines, Host, HostCell, OpenModel, Shared};
use crate::http::client_router;
use crate::limits::Limiter;
use crate::observe::Metrics;
use crate::records::{Records, Row};
use crate::supply::PluginSource;
use crate::upstreams::cache::Cache;
use crate::upstreams::{Deadline, Deltas, Upstream};

/// What a scripted upstream does with one item.
pub(crate) enum Item {
    /// It sends this.
    Say(Chunk),
    /// It fails.
    Fail(Fault),
    /// It says nothing for so long.
    Wait(Duration),
    /// It never says anything again.
    Hang,
}

/// An upstream that answers by a script: one list of items for each call. What it was asked can be read.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: Mutex<VecDeque<Vec<Item>>>,
    pub(crate) asked: Mutex<Vec<ChatRequest>>,
    /// Answers that are under way.
    pub(crate) alive: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn answer(&self, request: Arc<ChatRequest>, _: Deadline) -> Deltas {
        self.asked.lock().unwrap().push((*request).clone());
        let items = self.answers.lock().unwrap().pop_front().expect("one more call than the script has answers");
        self.alive.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.alive));
        Box::pin(stream::unfold((VecDeque::from(items), alive), |(mut items, alive)| async move {
            loop {
                match items.pop_front()? {
                    Item::Say(chunk) => return Some((Ok(chunk), (items, alive))),
                    Item::Fail(fault) => return Some((Err(fault), (items, alive))),
                    Item::Wait(time) => tokio::time::sleep(time).await,
                    Item::Hang => std::future::pending().await,
                }
            }
        }))
    }
}

/// The same of a stream in Anthropic's dialect; the end of the stream is none.
pub(crate) fn anthropic(list: &[serde_json::Value]) -> Vec<Item> {
    spoken(&AnthropicMessages, list)
}

/// The same of a stream in any dialect.
pub(crate) fn spoken(dialect: &dyn Dialect, list: &[serde_json::Value]) -> Vec<Item> {
    let mut reader = dialect.reader();
    list.iter().filter_map(|event| reader.event(Bytes::from(event.to_string())).unwrap()).map(Item::Say).collect()
}

/// The events of a stream, each read from its JSON as an upstream's would be.
pub(crate) fn events(list: &[&str]) -> Vec<Item> {
    let mut reader = Reader::default();
    list.iter().map(|data| Item::Say(reader.event(Bytes::copy_from_slice(data.as_bytes())).unwrap().unwrap())).collect()
}

/// One event with a delta, as OpenAI writes it.
pub(crate) fn event(delta: &str) -> String {
    format!(
        r#"{{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m-1","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    )
}

/// The event that finishes.
pub(crate) fn finish(reason: &str) -> String {
    format!(
        r#"{{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m-1","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#
    )
}

/// The event with the usage.
pub(crate) const USAGE: &str = r#"{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m-1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#;

/// A stream that says these deltas, finishes, and tells its usage.
pub(crate) fn stream_of(deltas: &[&str]) -> Vec<Item> {
    let mut list: Vec<String> = deltas.iter().map(|delta| event(delta)).collect();
    list.push(finish("stop"));
    list.push(USAGE.to_owned());
    events(&list.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A whole answer's body.
pub(crate) fn body_of(json: &str) -> Vec<Item> {
    let chunk = crate::dialects::openai_chat::delta::read_body(Bytes::copy_from_slice(json.as_bytes())).unwrap();
    assert!(matches!(chunk.raw, Some(Raw::Body(..))));
    vec![Item::Say(chunk)]
}

/// A plain answer of the canonical kind, without raw copies.
pub(crate) fn says(text: &str) -> Vec<Item> {
    let start = Delta::Start { id: "c-1".into(), model: "m-1".into(), created: 7 };
    let said = Delta::Text { choice: 0, text: text.into() };
    let finish = Delta::Finish { choice: 0, reason: FinishReason::Stop };
    vec![Item::Say(Chunk::of(vec![start, said, finish]))]
}

/// A gateway under test: the model `m` is answered by the script.
pub(crate) struct Kit {
    folder: tempfile::TempDir,
    pub(crate) upstream: Arc<Scripted>,
    pub(crate) facts: Facts,
    pub(crate) clock: Arc<FixedClock>,
    router: Option<(Router, Arc<HostCell>)>,
}

impl Kit {
    /// A gateway with no plugins, no keys, no cache.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let mut facts = Facts::zero_config(&Environment::of(&[], &data));
        facts.data = folder.path().to_owned();
        facts.models.clear();
        facts.plugins.clear();
        facts.default_plugins.clear();
        facts.providers.clear();
        let leg = LegFact::new(LegTarget::Engine, "m");
        facts.routes = BTreeMap::from([("m".to_owned(), RouteFact::plain("m", vec![leg]))]);
        Self { folder, upstream: Arc::default(), facts, clock: Arc::new(FixedClock::at(1_700_000_000_000)), router: None }
    }

    /// The route `m`.
    pub(crate) fn route(&mut self) -> &mut RouteFact {
        self.facts.routes.get_mut("m").unwrap()
    }

    /// One more answer for the script.
    pub(crate) fn script(&self, items: Vec<Item>) {
        self.upstream.answers.lock().unwrap().push_back(items);
    }

    /// Adds an enforced Luau plugin to the default chain. `manifest` is what follows name, version and entry.
    pub(crate) fn plugin(&mut self, name: &str, manifest: &str, source: &str) {
        let folder: PathBuf = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let head = format!("name: {name}\nversion: 0.1.0\nentry: plugin.luau\n{manifest}\n");
        std::fs::write(folder.join("plugin.yaml"), head).unwrap();
        std::fs::write(folder.join("plugin.luau"), source).unwrap();
        let operator = Operator { name: Some(name.to_owned()), mode: Mode::Enforce, ..Operator::default() };
        let fact = PluginFact {
            name: name.to_owned(),
            written: folder.display().to_string(),
            source: PluginSource::Folder(folder),
            signed_by: None,
            operator,
            reach: ReachFact::default(),
        };
        self.facts.plugins.insert(name.to_owned(), fact);
        self.facts.default_plugins.push(name.to_owned());
    }

    /// Where requests come in.
    pub(crate) fn serve(&mut self) -> Router {
        if let Some((router, _)) = &self.router {
            return router.clone();
        }
        let engines = Engines::default();
        let (template, yarn) = Default::default();
        let fact = ModelFact {
            name: "m".to_owned(),
            folder: None,
            max_running: 1,
            max_waiting: 1,
            kv_bytes: 1 << 20,
            prefix_bytes: None,
            quantize: None,
            template,
            yarn,
            adapters: Default::default(),
        };
        engines.add(OpenModel { fact, files: [0; 32], upstream: Arc::clone(&self.upstream) as Arc<dyn Upstream> });
        let data: &Path = self.folder.path();
        let shared = Arc::new(Shared {
            plugins: gatewright_plugins::Host::new(4),
            cache: Cache::new(&data.join("cache"), &self.facts.cache, self.clock.clone()),
            records: Records::open(&data.join("records.sqlite"), self.facts.limits.record_queue).unwrap(),
            metrics: Metrics::new(),
            clock: self.clock.clone(),
            ids: Ids::fixed(1),
            limiter: Limiter::default(),
            engines,
            legs: Default::default(),
            clients: Default::default(),
            seal: crate::dialects::Seal::new([1; 32]),
            affinities: Default::default(),
            thoughts: Default::default(),
            background: Default::default(),
        });
        let cell = Arc::new(HostCell::from_pointee(Host::build(self.facts.clone(), &shared).unwrap()));
        let router = client_router(Arc::clone(&cell));
        self.router = Some((router.clone(), cell));
        router
    }

    /// The host itself.
    pub(crate) fn host(&mut self) -> Arc<Host> {
        let _ = self.serve();
        self.router.as_ref().unwrap().1.load_full()
    }

    /// Sends any request.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Answer {
        let response = self.serve().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Posts a chat request and reads the whole response.
    pub(crate) async fn chat(&mut self, json: &str) -> Heard {
        self.chat_with(json, &[]).await
    }

    /// Posts a request in Anthropic's dialect and reads the whole response.
    pub(crate) async fn messages(&mut self, json: &serde_json::Value, headers: &[(&str, &str)]) -> Heard {
        self.send(post_to("/v1/messages?beta=true", &json.to_string(), headers)).await.whole().await
    }

    /// Posts a request in OpenAI's dialect of Responses and reads the whole response.
    pub(crate) async fn responses(&mut self, json: &serde_json::Value) -> Heard {
        self.send(post_to("/v1/responses", &json.to_string(), &[])).await.whole().await
    }

    /// Asks for a path and reads the whole response.
    pub(crate) async fn get(&mut self, path: &str) -> Heard {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await.whole().await
    }

    /// The same, with headers.
    pub(crate) async fn chat_with(&mut self, json: &str, headers: &[(&str, &str)]) -> Heard {
        self.send(post(json, headers)).await.whole().await
    }

    /// The rows that were written; the gateway is closed by it.
    pub(crate) fn rows(&mut self) -> Vec<Row> {
        let (_, cell) = self.router.take().unwrap();
        cell.load().shared.records.close().unwrap();
        let base = rusqlite::Connection::open(self.folder.path().join("records.sqlite")).unwrap();
        let mut query = base
            .prepare("SELECT outcome, status, cache, prompt_tokens, completion_tokens, estimated, rounds, attempts, verdicts, leg, key, cost_nanos, compared_nanos FROM request ORDER BY id")
            .unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Row {
                outcome: row.get(0)?,
                status: row.get(1)?,
                cache: row.get(2)?,
                prompt_tokens: row.get::<_, i64>(3)? as u64,
                completion_tokens: row.get::<_, i64>(4)? as u64,
                estimated: row.get(5)?,
                rounds: row.get(6)?,
                attempts: row.get(7)?,
                verdicts: row.get(8)?,
                leg: row.get(9)?,
                key: row.get(10)?,
                cost_nanos: row.get::<_, Option<i64>>(11)?.map(|nanos| nanos as u64),
                compared_nanos: row.get::<_, Option<i64>>(12)?.map(|nanos| nanos as u64),
                ..Row::default()
            })
        };
        query.query_map([], row).unwrap().map(Result::unwrap).collect()
    }
}

/// A POST of a chat request.
pub(crate) fn post(json: &str, headers: &[(&str, &str)]) -> Request<Body> {
    post_to("/v1/chat/completions", json, headers)
}

/// A POST of JSON.
pub(crate) fn post_to(path: &str, json: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(json.to_owned())).unwrap()
}

/// A response whose body was not read yet.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Answer {
    /// Reads all of it.
    pub(crate) async fn whole(self) -> Heard {
        let reading = tokio::time::timeout(Duration::from_secs(20), self.body.collect());
        let bytes = reading.await.expect("the answer takes too long").unwrap().to_bytes();
        Heard { status: self.status, headers: self.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> String {
        let frame = self.body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(frame.to_vec()).unwrap()
    }
}

/// A response that was read.
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Heard {
    /// A header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The data of all events but `[DONE]`.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let data = self.text.split("\n\n").filter_map(|frame| frame.lines().find_map(|line| line.strip_prefix("data: ")));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// All text of one field of the deltas of choice 0, joined.
    pub(crate) fn said(&self, field: &str) -> String {
        let events = self.events();
        events.iter().filter_map(|event| event["choices"][0]["delta"][field].as_str()).collect()
    }

    /// All text of one field of the pieces of blocks in Anthropic's dialect, joined.
    pub(crate) fn pieces(&self, field: &str) -> String {
        let events = self.events();
        events.iter().filter_map(|event| event["delta"][field].as_str()).collect()
    }

    /// The kinds of the blocks that began, in order.
    pub(crate) fn blocks(&self) -> Vec<String> {
        let events = self.events();
        events.iter().filter_map(|event| event["content_block"]["type"].as_str().map(str::to_owned)).collect()
    }

    /// The last reason to finish.
    pub(crate) fn finish(&self) -> Option<String> {
        let events = self.events();
        events.iter().rev().find_map(|event| event["choices"][0]["finish_reason"].as_str().map(str::to_owned))
    }

    /// Whether it ends in `[DONE]`.
    pub(crate) fn is_done(&self) -> bool {
        self.text.ends_with("data: [DONE]\n\n")
    }
}
