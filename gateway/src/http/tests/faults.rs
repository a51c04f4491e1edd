//! Every way in which an upstream fails, as one table: what each is to a client of each dialect, whole and streamed, whatever the
//! upstream speaks. Nothing hangs past its limit, nothing is passed off as a clean end, nothing is counted twice.
//!
//! A new client dialect is a row of [`CLIENTS`], a new one of upstreams a row of [`SPEECHES`], a new fault one of [`table`].

mod cases;
mod clients;
mod counted;
mod speeches;
mod tls;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::future::join_all;
use tokio::net::TcpSocket;
use tower_service::Service;

use self::cases::{Case, End, Limit, Place, Then, again, good, large, stream, table};
use self::clients::{CLIENTS, Client, OF_TEXTS};
use self::counted::Books;
use self::speeches::{SPEECHES, Speech, TEXTS};
use crate::config::facts::{LegFact, LegTarget, ProviderFact, RouteFact, Timeouts};
use crate::life::kit::{Answer, Heard, Kit, post_to};
use crate::records::Row;
use crate::upstreams::remote::rig::{self, Rig, Step, response};

/// How much longer than its limit a case may take on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(10);
/// A limit that no case reaches in time.
const FAR: Duration = Duration::from_secs(600);

/// The limits of a case: the one that it is about is short, but not so short that a busy machine reaches it by itself.
fn timeouts(limit: Limit) -> Timeouts {
    let (short, far) = (Duration::from_secs(2), FAR);
    let all = Timeouts { connect: far, first_byte: far, first_token: None, idle: far, total: far };
    match limit {
        Limit::None | Limit::Bytes => all,
        Limit::Connect => Timeouts { connect: short, ..all },
        // It begins when the connection may take no longer.
        Limit::FirstByte => Timeouts { connect: short, first_byte: short, ..all },
        Limit::Idle => Timeouts { idle: short, ..all },
        Limit::Total => Timeouts { total: short * 2, ..all },
    }
}

/// When a case is over.
fn bound(limit: Limit) -> Duration {
    let Timeouts { connect, first_byte, idle, total, .. } = timeouts(limit);
    let limits = [connect, connect + first_byte, idle, total];
    SLACK + limits.into_iter().filter(|limit| *limit < FAR).max().unwrap_or_default()
}

/// A case on its way: the route of its number, those that can be asked there, and what was heard.
struct Play<'a> {
    at: usize,
    case: Case,
    speech: &'a Speech,
    client: &'a Client,
    key: String,
    rigs: Vec<Rig>,
    /// A place where nobody listens, so that nobody else comes to listen there.
    _nowhere: Option<TcpSocket>,
    began: Instant,
    heard: Option<Heard>,
}

impl<'a> Play<'a> {
    /// Adds what a case needs to a gateway.
    async fn stage(kit: &mut Kit, (case, speech, client): (Case, &'a Speech, &'a Client)) -> Self {
        let at = kit.facts.keys.len();
        let well = if case.stream { stream(good(speech)) } else { vec![rig::json(&(speech.whole)("x"))] };
        let (mut rigs, mut nowhere) = (Vec::new(), None);
        let url = match &case.place {
            Place::Rig(script) => {
                let again = (case.then == Then::Same).then(|| well.clone());
                rigs.push(Rig::new([script.clone()].into_iter().chain(again).collect()).await);
                rigs[0].url.clone()
            }
            Place::Nowhere => {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
                format!("http://{}/v1", nowhere.insert(socket).local_addr().unwrap())
            }
            Place::Silent => Rig::new(vec![vec![Step::Wait(FAR)]]).await.url.replace("http://", "https://"),
            Place::Plain => tls::plain(),
            Place::SelfSigned => tls::self_signed(),
        };
        let attempts = if case.then == Then::Same { 2 } else { 1 };
        let mut fact = ProviderFact { kind: speech.kind, attempts, timeouts: timeouts(case.limit), ..rig::fact(&url) };
        fact.prices.insert("m".to_owned(), counted::price());
        let mut legs = vec![leg(kit, format!("rig-{at}"), fact.clone())];
        if case.then == Then::Next {
            let spare = Rig::new(vec![well]).await;
            legs.push(leg(kit, format!("spare-{at}"), ProviderFact { base_url: spare.url.clone(), ..fact }));
            rigs.push(spare);
        }
        let route = format!("tried-{at}");
        kit.facts.routes.insert(route.clone(), RouteFact::plain(&route, legs));
        let (key, text) = counted::counted_key(&route);
        kit.facts.keys.push(key);
        Self { at, case, speech, client, key: text, rigs, _nowhere: nowhere, began: Instant::now(), heard: None }
    }

    async fn hear(&mut self, mut router: Router) {
        let mut ask = (self.client.asks)();
        (ask["model"], ask["stream"]) = (format!("tried-{}", self.at).into(), self.case.stream.into());
        let bearer = format!("Bearer {}", self.key);
        let request = post_to(self.client.path, &ask.to_string(), &[("authorization", &bearer)]);
        self.began = Instant::now();
        let hearing = async {
            let (head, body) = router.call(request).await.unwrap().into_parts();
            Answer { status: head.status.as_u16(), headers: head.headers, body }.whole().await
        };
        self.heard = tokio::time::timeout(bound(self.case.limit), hearing).await.ok();
    }

    fn check(&self, books: &Books) {
        let Self { at, case, speech, client, rigs, .. } = self;
        let then = ["", ", asked again", ", and the next leg"][case.then as usize];
        let name = format!("{}{then}, {:?} asked by {}, stream {}", case.name, speech.kind, client.path, case.stream);
        let heard = self.heard.as_ref().unwrap_or_else(|| panic!("{name}: it hangs"));
        let row = books.record(&name, *at, self.began);
        check(&name, (heard, row), (&case.end, client, case.stream));
        let asked: usize = rigs.iter().map(Rig::asked).sum();
        let tries = if case.then == Then::Nobody { 1 } else { 2 };
        let unheard = usize::from(!matches!(case.place, Place::Rig(_)));
        assert_eq!((row.attempts as usize, asked), (tries, tries - unheard), "{name}");
        assert!(!heard.text.contains("stack trace"), "{name}: {}", heard.text);
        let wait = if case.name == "429 with Retry-After" && tries == 1 { "7" } else { "" };
        assert_eq!(heard.header("retry-after"), wait, "{name}");
        let told = match case.then {
            Then::Nobody => return,
            Then::Same => [format!("rig-{at}/m=retried:"), format!("; rig-{at}/m=spoke")],
            Then::Next => [format!("rig-{at}/m=failed:"), format!("; spare-{at}/m=spoke")],
        };
        let tries = heard.header("x-gatewright-tries");
        assert!(tries.starts_with(&told[0]) && tries.ends_with(&told[1]), "{name}: {tries}");
        assert_eq!(heard.header("x-gatewright-attempts"), "2", "{name}");
    }
}

/// A provider of that name, and the leg to it.
fn leg(kit: &mut Kit, name: String, fact: ProviderFact) -> LegFact {
    kit.facts.providers.insert(name.clone(), ProviderFact { name: name.clone(), ..fact });
    LegFact::new(LegTarget::Provider(name), "m")
}

fn check(name: &str, (heard, row): (&Heard, &Row), (end, client, stream): (&End, &Client, bool)) {
    let told = if heard.text.len() < 3000 { heard.text.as_str() } else { "much" };
    let word = |which: &usize| client.words[*which];
    let events = if stream && heard.status == 200 { heard.events() } else { Vec::new() };
    let said: String = events.iter().map(client.piece).collect();
    let used = (row.prompt_tokens, row.completion_tokens, row.estimated);
    match end {
        End::Clean(text) => {
            assert_eq!(heard.status, 200, "{name}: {told}");
            let said = if stream { said } else { (client.text)(&heard.json()) };
            assert!(said == *text, "{name}: {told}");
            assert!(!stream || (client.ended)(heard), "{name}: {told}");
            assert_eq!((row.outcome.as_str(), used), ("ok", (5, 3, false)), "{name}");
            let ends = [
                "event: message_stop",
                "event: response.completed",
                "[DONE]",
                "\"finish_reason\":\"stop\"",
                "event: content_block_stop",
            ];
            let most = ends.iter().map(|end| heard.text.matches(end).count()).max();
            assert!(most <= Some(1), "{name}: {told}");
        }
        End::Refused(status, which) => {
            let status = if *which == clients::DOWN { &client.down } else { status };
            assert_eq!(heard.status, *status, "{name}: {told}");
            assert_eq!((client.error)(&heard.json()), word(which), "{name}: {told}");
            assert_eq!(used, (0, 0, false), "{name}: nothing was used");
            assert_ne!(row.outcome, "ok", "{name}");
        }
        End::Broken(text, which) => {
            assert_eq!((heard.status, said.as_str()), (200, *text), "{name}: {told}");
            assert_eq!((client.failed)(&events), word(which), "{name}: {told}");
            assert!(!(client.ended)(heard), "{name}: {told}");
            assert_eq!((row.status, row.completion_tokens), (200, 1), "{name}");
            assert!(row.outcome != "ok" && row.estimated && row.prompt_tokens > 0, "{name}: {row:?}");
        }
    }
}

/// Plays cases of these dialects, some of them at once, and tells of all that went wrong.
async fn play_all(pairs: &[(&Speech, &Client)], cases: fn(&Speech) -> Vec<Case>) {
    let of = |(speech, client)| move |case| (case, speech, client);
    let mut all: Vec<_> = pairs.iter().flat_map(|pair| cases(pair.0).into_iter().map(of(*pair))).collect();
    // Those that wait do so together.
    all.sort_by_key(|(case, ..)| matches!(case.limit, Limit::None));
    let (small, usual): (Vec<_>, Vec<_>) = all.into_iter().partition(|(case, ..)| case.limit == Limit::Bytes);
    let wrong = play_in(1 << 20, small).await + play_in(Kit::new().facts.limits.answer_bytes, usual).await;
    assert_eq!(wrong, 0, "so many cases went wrong");
}

/// Plays cases before gateways with that bound on answers; how many went wrong.
async fn play_in(answer_bytes: usize, mut cases: Vec<(Case, &Speech, &Client)>) -> usize {
    const AT_ONCE: usize = 32;
    let mut wrong = 0;
    while !cases.is_empty() {
        let mut kit = Kit::new();
        kit.facts.limits.answer_bytes = answer_bytes;
        let mut plays = Vec::new();
        for case in cases.drain(..cases.len().min(AT_ONCE)) {
            plays.push(Play::stage(&mut kit, case).await);
        }
        let router = kit.serve();
        join_all(plays.iter_mut().map(|play| play.hear(router.clone()))).await;
        let books = Books::close(&mut kit);
        let checked = plays.iter().map(|play| catch_unwind(AssertUnwindSafe(|| play.check(&books))));
        wrong += checked.filter(Result::is_err).count();
    }
    wrong
}

/// Every upstream, asked by this client.
fn asked_by(client: &Client) -> Vec<(&Speech, &Client)> {
    SPEECHES.iter().map(|speech| (speech, client)).collect()
}

#[tokio::test]
async fn each_fault_has_its_result_in_chat_completions() {
    play_all(&asked_by(&CLIENTS[0]), table).await;
}

#[tokio::test]
async fn each_fault_has_its_result_in_messages() {
    play_all(&asked_by(&CLIENTS[1]), table).await;
}

#[tokio::test]
async fn each_fault_has_its_result_in_responses() {
    play_all(&asked_by(&CLIENTS[2]), table).await;
}

#[tokio::test]
async fn each_fault_has_its_result_in_completions() {
    play_all(&[(&TEXTS, &OF_TEXTS)], table).await;
}

#[tokio::test]
async fn what_is_large_is_no_fault_below_the_bound() {
    for pair in CLIENTS.iter().flat_map(asked_by) {
        play_all(&[pair], large).await;
    }
}

#[tokio::test]
async fn another_try_is_an_answer_and_counted_once() {
    let pairs: Vec<_> = SPEECHES.iter().zip(&CLIENTS).collect();
    play_all(&pairs, again).await;
}

#[tokio::test]
async fn a_refusal_of_one_of_openais_apis_is_passed_on_in_both() {
    let refusal = r#"{"error":{"message":"too long","type":"invalid_request_error","param":"input","code":"context_length_exceeded"},"odd":[1 ,2]}"#;
    for (speech, client) in [(0, 0), (0, 2), (2, 0), (2, 2)] {
        let (speech, client) = (&SPEECHES[speech], &CLIENTS[client]);
        let rig = Rig::new(vec![vec![response("400 Bad Request", &[("content-type", "application/json")], refusal)]]).await;
        let mut kit = Kit::new();
        kit.facts.providers.insert("rig".to_owned(), ProviderFact { kind: speech.kind, ..rig::fact(&rig.url) });
        let heard = kit.send(post_to(client.path, &(client.asks)().to_string(), &[])).await.whole().await;
        assert_eq!((heard.status, heard.text.as_str()), (400, refusal), "{:?} asked by {}", speech.kind, client.path);
    }
}
