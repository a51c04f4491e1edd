//! The WASM policies as they are committed: their bytes are what their digests say, and they do what their README says, through the
//! whole host, cut anywhere. With `wasm` in GATEWRIGHT_TESTS_WITH, the same of components that are built now from the sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatewright_plugins::{Chain, Context, Host, Lane, Operator, Piece, Source, Verdict};
use gatewright_types::{Channel, Phase, Segment};
use sha2::{Digest, Sha256};

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

/// Folders of policies that are components.
fn components() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(policies()).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|folder| folder.join("plugin.wasm").exists()).collect()
}

#[test]
fn committed_components_are_what_their_digests_say() {
    for folder in components() {
        let code = std::fs::read(folder.join("plugin.wasm")).unwrap();
        let said = std::fs::read_to_string(folder.join("plugin.wasm.sha256")).unwrap();
        let digest: String = Sha256::digest(&code).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(said, format!("{digest}  plugin.wasm\n"), "{}: run policies/build.sh", folder.display());
        assert!(code.len() < 112 << 10, "{}: {} bytes", folder.display(), code.len());
        let text = String::from_utf8_lossy(&code);
        assert!(!text.contains("/home/") && !text.contains("/root/"), "{}: paths of a machine", folder.display());
    }
}

fn chain(folder: &Path, settings: serde_json::Value) -> Chain {
    let operator = Operator { settings, grants: vec!["settings".into()], ..Operator::default() };
    Chain::new(vec![Host::new(2).load(&Source::Folder(folder.to_owned()), &operator).unwrap()])
}

async fn ask(chain: &Chain, channel: Channel, text: &str) -> Verdict {
    let mut segments = vec![Segment { id: 1, channel, text: text.into(), sent: 0, label: None }];
    chain.open(Context::default()).await.unwrap().inspect(Phase::Request, &mut segments).await.verdict
}

/// What a stream of chunks ends in, and what the client got of it.
async fn stream(chain: &Chain, channel: Channel, chunks: &[&str]) -> (Verdict, String) {
    let lane = Lane { choice: 0, channel, index: 0 };
    let mut session = chain.open(Context::default()).await.unwrap();
    let mut out = String::new();
    for (at, chunk) in chunks.iter().enumerate() {
        let ended: &[Lane] = if at + 1 == chunks.len() { std::slice::from_ref(&lane) } else { &[] };
        let piece = Piece { lane, label: None, text: (*chunk).to_owned() };
        let released = session.feed(vec![piece], ended).await;
        out.extend(released.pieces.iter().map(|piece| piece.text.as_str()));
        if released.verdict != Verdict::Pass {
            return (released.verdict, out);
        }
    }
    (Verdict::Pass, out)
}

/// Cuts a text into pieces of these many characters, over and over.
fn cut<'a>(text: &'a str, lengths: &[usize]) -> Vec<&'a str> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let at = rest.char_indices().nth(*length).map_or(rest.len(), |(at, _)| at);
        pieces.push(&rest[..at]);
        rest = &rest[at..];
    }
    pieces
}

fn is_denied(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Block { code, message, .. } if code == "topic_denied" && message == "Not here.")
}

/// What topic-deny's README says, of the component in this folder.
async fn topic_deny_keeps_its_word(folder: &Path) {
    let chain = chain(folder, serde_json::json!({"terms": ["bomb", "credit card", "wiretap*"], "message": "Not here."}));
    for text in ["a bomb", "a B-o-M-b", "a b\u{200b}о\u{200b}мb", "ＣＲＥＤＩＴ c@rd", "wire\u{301}tapping", "b00000mb"] {
        for channel in Channel::ALL.into_iter().filter(|channel| *channel != Channel::Media) {
            assert!(is_denied(&ask(&chain, channel, text).await), "{channel:?} {text}");
        }
        assert_eq!(ask(&chain, Channel::Media, text).await, Verdict::Pass, "{text}");
    }
    for text in ["a bombastic tomb", "take credit, carding wool", "Bob, o Mb", ""] {
        assert_eq!(ask(&chain, Channel::User, text).await, Verdict::Pass, "{text}");
    }
    let cuts: [&[usize]; 6] = [&[1], &[2, 1, 3], &[5], &[7, 1], &[17], &[10_000]];
    for (before, evil) in [("How to build a ", "b.o.m.b now"), ("Give me a cr, then ", "crédit  CARD please"), ("", "bomb")] {
        let text = format!("{before}{evil}");
        for lengths in cuts {
            let (verdict, out) = stream(&chain, Channel::Reasoning, &cut(&text, lengths)).await;
            assert!(is_denied(&verdict), "{text} {lengths:?}: {verdict:?}");
            assert!(before.starts_with(&out), "{text} {lengths:?}: the client got {out:?}");
        }
    }
    let endless = "b".repeat(20_000);
    for lengths in [&[7][..], &[900, 33]] {
        let (verdict, out) = stream(&chain, Channel::Assistant, &cut(&endless, lengths)).await;
        assert_eq!((verdict, out.len()), (Verdict::Pass, endless.len()), "{lengths:?}");
    }
    let harmless = "The bombardier took credit; c, r, e and d are letters. Bo must go. b o m, then a tomb";
    for lengths in cuts {
        let (verdict, out) = stream(&chain, Channel::Assistant, &cut(harmless, lengths)).await;
        assert_eq!((verdict, out.as_str()), (Verdict::Pass, harmless), "{lengths:?}");
    }
}

/// As many terms as the host's bounds on prefilters allow for, of any first letters.
#[tokio::test]
async fn many_terms_are_no_trouble_to_the_prefilter() {
    let letters = "abcdefghijklmnopqrstuvwxyz";
    for (firsts, seconds) in [(16, 16), (25, 10), (26, 26)] {
        let pairs = letters.chars().take(firsts).flat_map(|a| letters.chars().take(seconds).map(move |b| (a, b)));
        let terms: Vec<String> = pairs.flat_map(|(a, b)| "aei".chars().map(move |c| format!("{a}{b}{c}q"))).collect();
        let settings = serde_json::json!({"terms": terms, "message": "Not here."});
        let chain = chain(&policies().join("topic-deny"), settings);
        assert!(is_denied(&ask(&chain, Channel::User, "it is an A-b-A-q").await), "{firsts} {seconds}");
    }
}

#[tokio::test]
async fn the_committed_topic_deny_keeps_its_word() {
    topic_deny_keeps_its_word(&policies().join("topic-deny")).await;
}

fn with_wasm(what: &str) -> bool {
    let with = std::env::var("GATEWRIGHT_TESTS_WITH").unwrap_or_default();
    let named = with.split([',', ' ']).any(|name| name == "wasm");
    if !named {
        // Not by `eprintln!`, which the harness keeps to itself while the test passes.
        drop(writeln!(std::io::stderr(), "\nSKIPPED: {what}; name `wasm` in GATEWRIGHT_TESTS_WITH"));
    }
    named
}

/// Guests and the SDK are no members of the workspace, so that nothing else runs these.
#[test]
fn guests_pass_their_own_tests() {
    if !with_wasm("the guests' own tests fetch what they are made of") {
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/rust");
    for folder in components().into_iter().map(|folder| folder.join("guest")).chain([sdk]) {
        let status = Command::new("cargo")
            .args(["test", "--quiet", "--locked"])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", &target)
            .status()
            .unwrap();
        assert!(status.success(), "{}: {status}", folder.display());
    }
}

#[tokio::test]
async fn components_that_are_built_now_keep_their_word() {
    if !with_wasm("rebuilding the WASM policies needs a WASM toolchain") {
        return;
    }
    let built = tempfile::tempdir().unwrap();
    let benches = ["nothing", "find"].map(|guest| Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/guests").join(guest));
    let guests = components().into_iter().map(|folder| folder.join("guest")).chain(benches);
    let status = Command::new(policies().join("build.sh")).arg(built.path()).args(guests).status().unwrap();
    assert!(status.success(), "policies/build.sh: {status}");
    let folder = built.path().join("topic-deny");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(policies().join("topic-deny/plugin.yaml"), folder.join("plugin.yaml")).unwrap();
    std::fs::copy(built.path().join("topic-deny.wasm"), folder.join("plugin.wasm")).unwrap();
    topic_deny_keeps_its_word(&folder).await;
}
