//! Every way in which an upstream fails, as one table: what each is to a client of each dialect, whole and streamed, whatever the
//! upstream speaks. Nothing hangs past its limit, nothing is passed off as a clean end, nothing is counted twice.
//!
//! A new client dialect is a row of [`CLIENTS`], a new one of upstreams a row of [`SPEECHES`], a new fault one of [`table`].

mod cases;
mod clients;
mod counted;
mod speeches;
mod tls;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;

use self::cases::{Case, End, Limit, Place, Then, again, good, large, stream, table};
use self::clients::{CLIENTS, Client};
use self::speeches::{SPEECHES, Speech};
use crate::config::facts::{LegFact, LegTarget, ProviderFact, RouteFact, Timeouts};
use crate::life::kit::{Heard, Kit, post_to};
use crate::records::Row;
use crate::upstreams::remote::rig::{self, Rig, Step, response};

/// How much longer than its limit a case may take on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(10);
/// A limit that no case reaches in time.
const FAR: Duration = Duration::from_secs(600);

/// The limits of a case: the one that it is about is short.
fn timeouts(limit: Limit) -> Timeouts {
    let (short, far) = (rig::TIMEOUTS, FAR);
    let all = Timeouts { connect: far, first_byte: far, first_token: None, idle: far, total: far };
    match limit {
        Limit::None | Limit::Bytes => all,
        Limit::Connect => Timeouts { connect: short.connect, ..all },
        // It begins when the connection may take no longer.
        Limit::FirstByte => Timeouts { connect: short.connect, first_byte: short.first_byte, ..all },
        Limit::Idle => Timeouts { idle: short.idle, ..all },
        Limit::Total => Timeouts { total: short.total, ..all },
    }
}

/// When a case is over.
fn bound(limit: Limit) -> Duration {
    let Timeouts { connect, first_byte, idle, total, .. } = timeouts(limit);
    let limits = [connect, connect + first_byte, idle, total];
    SLACK + limits.into_iter().filter(|limit| *limit < FAR).max().unwrap_or_default()
}

/// A gateway before the upstreams of a case, and those that can be asked.
async fn stage(case: &Case, speech: &Speech) -> (Kit, Vec<Rig>) {
    let well = if case.stream { stream(good(speech)) } else { vec![rig::json(&(speech.whole)("x"))] };
    let mut rigs = Vec::new();
    let url = match &case.place {
        Place::Rig(script) => {
            let again = (case.then == Then::Same).then(|| well.clone());
            rigs.push(Rig::new([script.clone()].into_iter().chain(again).collect()).await);
            rigs[0].url.clone()
        }
        Place::Nowhere => format!("http://{}/v1", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()),
        Place::Silent => Rig::new(vec![vec![Step::Wait(FAR)]]).await.url.replace("http://", "https://"),
        Place::Plain => tls::plain(),
        Place::SelfSigned => tls::self_signed(),
    };
    let mut kit = Kit::new();
    if case.limit == Limit::Bytes {
        kit.facts.limits.answer_bytes = 1 << 20;
    }
    kit.facts.keys = vec![counted::counted_key()];
    let attempts = if case.then == Then::Same { 2 } else { 1 };
    let mut fact = ProviderFact { kind: speech.kind, attempts, timeouts: timeouts(case.limit), ..rig::fact(&url) };
    fact.prices.insert("m".to_owned(), counted::price());
    let mut legs = vec![LegFact::new(LegTarget::Provider("rig".to_owned()), "m")];
    if case.then == Then::Next {
        let spare = Rig::new(vec![well]).await;
        let fact = ProviderFact { name: "spare".to_owned(), base_url: spare.url.clone(), ..fact.clone() };
        kit.facts.providers.insert("spare".to_owned(), fact);
        legs.push(LegFact::new(LegTarget::Provider("spare".to_owned()), "m"));
        rigs.push(spare);
    }
    kit.facts.routes.insert("tried".to_owned(), RouteFact::plain("tried", legs));
    kit.facts.providers.insert("rig".to_owned(), fact);
    (kit, rigs)
}

async fn play(case: &Case, speech: &Speech, client: &Client) {
    let then = ["", ", asked again", ", and the next leg"][case.then as usize];
    let name = format!("{}{then}, {:?} asked by {}, stream {}", case.name, speech.kind, client.path, case.stream);
    let (mut kit, rigs) = stage(case, speech).await;
    let mut ask = (client.asks)();
    (ask["model"], ask["stream"]) = ("tried".into(), case.stream.into());
    let bearer = format!("Bearer {}", counted::KEY);
    let request = post_to(client.path, &ask.to_string(), &[("authorization", &bearer)]);
    let began = Instant::now();
    let heard = tokio::time::timeout(bound(case.limit), async { kit.send(request).await.whole().await }).await;
    let heard = heard.unwrap_or_else(|_| panic!("{name}: it hangs"));
    let row = counted::record(&name, &mut kit, began);
    check(&name, (&heard, &row), (&case.end, client, case.stream));
    let asked: usize = rigs.iter().map(Rig::asked).sum();
    let tries = if case.then == Then::Nobody { 1 } else { 2 };
    let unheard = usize::from(!matches!(case.place, Place::Rig(_)));
    assert_eq!((row.attempts as usize, asked), (tries, tries - unheard), "{name}");
    assert!(!heard.text.contains("stack trace"), "{name}: {}", heard.text);
    let wait = if case.name == "429 with Retry-After" && tries == 1 { "7" } else { "" };
    assert_eq!(heard.header("retry-after"), wait, "{name}");
    if tries == 2 {
        let (failed, spoke) =
            if case.then == Then::Same { ("rig/m=retried:", "; rig/m=spoke") } else { ("rig/m=failed:", "; spare/m=spoke") };
        let told = heard.header("x-gatewright-tries");
        assert!(told.starts_with(failed) && told.ends_with(spoke), "{name}: {told}");
        assert_eq!(heard.header("x-gatewright-attempts"), "2", "{name}");
    }
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

/// Plays cases of these dialects, so many at once, and tells of all that went wrong.
async fn play_all(pairs: &[(&Speech, &Client)], cases: fn(&Speech) -> Vec<Case>, at_once: usize) {
    let mut all: Vec<_> =
        pairs.iter().flat_map(|(speech, client)| cases(speech).into_iter().map(move |case| (case, *speech, *client))).collect();
    // Those that wait do so together.
    all.sort_by_key(|(case, ..)| matches!(case.limit, Limit::None | Limit::Bytes));
    let mut wrong = 0;
    for some in all.chunks(at_once) {
        let played = some.iter().map(|(case, speech, client)| AssertUnwindSafe(play(case, speech, client)).catch_unwind());
        wrong += join_all(played).await.into_iter().filter(Result::is_err).count();
    }
    assert_eq!(wrong, 0, "so many cases went wrong");
}

/// Every upstream, asked by this client.
fn asked_by(client: &Client) -> Vec<(&Speech, &Client)> {
    SPEECHES.iter().map(|speech| (speech, client)).collect()
}

#[tokio::test]
async fn each_fault_has_its_result_in_chat_completions() {
    play_all(&asked_by(&CLIENTS[0]), table, 16).await;
}

#[tokio::test]
async fn each_fault_has_its_result_in_messages() {
    play_all(&asked_by(&CLIENTS[1]), table, 16).await;
}

#[tokio::test]
async fn each_fault_has_its_result_in_responses() {
    play_all(&asked_by(&CLIENTS[2]), table, 16).await;
}

#[tokio::test]
async fn what_is_large_is_no_fault_below_the_bound() {
    for client in &CLIENTS {
        play_all(&asked_by(client), large, 1).await;
    }
}

#[tokio::test]
async fn another_try_is_an_answer_and_counted_once() {
    let pairs: Vec<_> = SPEECHES.iter().zip(&CLIENTS).collect();
    play_all(&pairs, again, 16).await;
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
