//! Actions of a WASM guest through the whole host: what its offsets count, what it may set, when it may ask again.
//!
//! The guest is the hand-written one of the sandbox's own tests, whose answer lies ready in its memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use gatewright_plugins::{Chain, Host, Outcome, Source, Verdict};
use gatewright_types::Phase;
use kit::{operator, session, user};

/// Where the texts of actions lie, and how long they are.
const EDITED: [u32; 2] = [1024, 3];
const POINTER: [u32; 2] = [1040, 6];
const VALUE: [u32; 2] = [1056, 9];
const TEXTS: &str = r#"(data (i32.const 1024) "[x]") (data (i32.const 1040) "/model") (data (i32.const 1056) "\22other/m\22")"#;

/// A chain of one guest that answers with this action, as the words that it is in memory.
fn chain(more: &str, action: [u32; 7]) -> Chain {
    let bytes: String = action.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("\\{byte:02x}")).collect();
    let core = format!(
        "{TEXTS} (data (i32.const 64) \"{bytes}\")
        (func (export \"inspect\") (param i32) (result i32)
            (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16))"
    );
    let code = include_str!("../src/wasm/tests/guest.wat");
    let code = code.replace("{PAGES}", "2").replace("{IMPORTS}", "").replace("{WITH}", "").replace("{CORE}", &core);
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name: test\nversion: 0.0.1\nentry: plugin.wasm\n{}{more}", kit::ALL);
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), code).unwrap();
    Chain::new(vec![Host::new(2).load(&Source::Folder(folder.path().to_owned()), &operator()).unwrap()])
}

async fn ask(chain: &Chain, text: &str) -> (Outcome, String) {
    let mut segments = user(text);
    let outcome = session(chain).await.inspect(Phase::Request, &mut segments).await;
    (outcome, segments.remove(0).text)
}

fn edit(start: u32, end: u32) -> [u32; 7] {
    [0, 1, start, end, EDITED[0], EDITED[1], 0]
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_count_what_the_manifest_says() {
    for (offsets, start, end) in [("bytes", 3, 7), ("utf-16", 2, 4), ("code-points", 2, 3)] {
        let more = format!("offsets: {offsets}\n");
        let (outcome, text) = ask(&chain(&more, edit(start, end)), "aé🇩b").await;
        assert_eq!((outcome.verdict, outcome.edited, text.as_str()), (Verdict::Pass, true, "aé[x]b"), "{offsets}");
        let (outcome, _) = ask(&chain(&more, edit(start, 99)), "aé🇩b").await;
        assert!(matches!(&outcome.verdict, Verdict::Failed { reason, .. } if reason.contains("offset 99")), "{offsets}");
    }
    let (outcome, text) = ask(&chain("offsets: utf-16\n", edit(2, 3)), "aé🇩b").await;
    assert!(matches!(&outcome.verdict, Verdict::Failed { reason, .. } if reason.contains("inside a character")), "{outcome:?}");
    assert_eq!(text, "aé🇩b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_set() {
    let (outcome, _) = ask(&chain("", [5, POINTER[0], POINTER[1], VALUE[0], VALUE[1], 0, 0]), "x").await;
    assert_eq!((outcome.verdict, outcome.sets), (Verdict::Pass, vec![("/model".to_owned(), "other/m".into())]));
    let (outcome, _) = ask(&chain("", [5, EDITED[0], EDITED[1], VALUE[0], VALUE[1], 0, 0]), "x").await;
    assert!(matches!(&outcome.verdict, Verdict::Failed { reason, .. } if reason.contains("not a field")), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_needs_an_answer_to_drop() {
    let (outcome, _) = ask(&chain("", [4, 1, EDITED[0], EDITED[1], 0, 0, 0]), "x").await;
    assert!(matches!(&outcome.verdict, Verdict::Failed { reason, .. } if reason.contains("nothing was asked yet")), "{outcome:?}");
}
