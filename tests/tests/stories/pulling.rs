//! Models from the hub: fetched, gone on with, checked, shared between commits, and served; and what is said where that cannot be.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatewright_tests::{Gateway, Hub, Request, Setup, binary};

const NAME: &str = "someone/Tiny-R1";
/// Two pieces, as the hub's client asks for them.
const WEIGHTS: usize = 12_000_000;

fn pull(here: &Path, hub: &Hub, (token, args): (Option<&str>, &[&str])) -> (i32, String) {
    let mut command = Command::new(binary().unwrap());
    command.arg("pull").args(args).current_dir(here).env_clear().env("HF_HOME", "hf").env("HF_ENDPOINT", hub.url());
    if let Some(token) = token {
        command.env("HF_TOKEN", token);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), format!("{}{}", text(stdout), text(stderr)))
}

fn weights() -> Vec<u8> {
    (0..WEIGHTS).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn folder(told: &str) -> PathBuf {
    PathBuf::from(told.lines().next().unwrap())
}

#[test]
fn a_model_is_pulled_and_served_by_the_lines_that_are_printed() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/demo");
    let names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    let files: Vec<_> = names.iter().map(|name| (*name, std::fs::read(demo.join(name)).unwrap())).collect();
    let mut all: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    all.push(("README.md", b"# A model"));
    let hub = Hub::with(NAME, &all).unwrap();
    let here = tempfile::tempdir().unwrap();
    let (status, told) = pull(here.path(), &hub, (None, &[NAME]));
    assert!(status == 0 && told.contains("5 files"), "{told}");
    for (name, bytes) in &files {
        assert_eq!(std::fs::read(folder(&told).join(name)).unwrap(), *bytes, "{name}");
    }
    assert!(!folder(&told).join("README.md").exists());
    let (_, config) = told.split_once("For gatewright.yaml:").unwrap();
    let path = here.path().join("gatewright.yaml");
    std::fs::write(&path, config).unwrap();
    let args = ["--config".to_owned(), path.display().to_string(), "--device".to_owned(), "cpu".to_owned()];
    let gateway = Gateway::start(&Setup { args: args.into(), ..Setup::default() }).unwrap();
    let answers = |gateway: &Gateway| {
        let answer = Request::ask("Tiny-R1", "What is 47 + 85?").send(&gateway.url).unwrap();
        assert!(answer.status == 200 && answer.body.contains("132"), "{}", answer.body);
    };
    answers(&gateway);
    // Or by its name alone, without a file.
    let args = ["--model", NAME, "--device", "cpu"].map(str::to_owned);
    let environment = vec![("HF_HOME".to_owned(), here.path().join("hf").display().to_string())];
    answers(&Gateway::start(&Setup { args: args.into(), env: environment, ..Setup::default() }).unwrap());
    let refused = Gateway::start(&Setup { args: vec!["--model".into(), "no/such".into()], ..Setup::default() });
    assert!(refused.err().unwrap().to_string().contains("--model no/such: no such folder"));
}

#[test]
fn what_was_cut_off_goes_on_where_it_stopped_and_what_is_there_is_not_fetched_again() {
    let weights = weights();
    let hub = Hub::with(NAME, &[("a.gguf", &weights), ("config.json", b"{}")]).unwrap();
    let here = tempfile::tempdir().unwrap();
    // The second piece breaks off: the first is kept.
    hub.cut_after(1_000_000);
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a.gguf"]));
    assert_eq!(status, 0, "{told}");
    assert_eq!(std::fs::read(folder(&told).join("a.gguf")).unwrap(), weights);
    assert!(!told.contains("gatewright.yaml"), "one file is no model: {told}");
    let seen = hub.seen();
    assert!(seen.iter().filter(|line| line.contains("bytes=0-9999999")).count() >= 1, "{seen:?}");
    let whole = |seen: &[String]| seen.iter().filter(|line| line.contains("/storage/") && !line.ends_with("bytes=0-0")).count();
    assert_eq!(pull(here.path(), &hub, (None, &[NAME, "a.gguf"])).0, 0);
    assert_eq!(whole(&hub.seen()), 0, "it is there");
    // Another commit with the same weights.
    hub.commit("fedcba9876543210fedcba9876543210fedcba98", ("config.json", b"{\"other\": 1}"));
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a.gguf", "config.json"]));
    assert!(status == 0 && folder(&told).ends_with("snapshots/fedcba9876543210fedcba9876543210fedcba98"), "{told}");
    assert_eq!(whole(&hub.seen()), 0, "its weights are those of the first");
    assert_eq!(std::fs::read(folder(&told).join("a.gguf")).unwrap().len(), WEIGHTS);
    assert_eq!(std::fs::read_to_string(folder(&told).join("config.json")).unwrap(), "{\"other\": 1}");
}

#[test]
fn what_is_not_what_its_digest_says_is_not_kept() {
    let weights = vec![7; 5000];
    let hub = Hub::with(NAME, &[("a.gguf", &weights)]).unwrap();
    hub.tell("a.gguf", &"0".repeat(64));
    let here = tempfile::tempdir().unwrap();
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a.gguf"]));
    assert!(status == 1 && told.contains("a.gguf of someone/Tiny-R1: what came is not what its digest says"), "{told}");
    let left: Vec<_> = std::fs::read_dir(here.path().join("hf/hub/models--someone--Tiny-R1/blobs")).unwrap().collect();
    assert!(
        left.iter().all(|file| !file.as_ref().unwrap().file_name().to_string_lossy().starts_with("0000")
            || file.as_ref().unwrap().path().extension().is_some()),
        "{left:?}"
    );
    hub.tell("a.gguf", "../../../../escaped");
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a.gguf"]));
    assert!(status == 1 && told.contains("does not say its digest"), "{told}");
    assert!(!here.path().join("escaped").exists());
}

#[test]
fn what_was_damaged_in_the_cache_is_fetched_again() {
    let weights = weights();
    let hub = Hub::with(NAME, &[("a.gguf", &weights)]).unwrap();
    let here = tempfile::tempdir().unwrap();
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a.gguf"]));
    assert_eq!(status, 0, "{told}");
    let blob = std::fs::canonicalize(folder(&told).join("a.gguf")).unwrap();
    std::fs::write(&blob, vec![0; WEIGHTS]).unwrap();
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a.gguf"]));
    assert_eq!(status, 0, "{told}");
    assert!(std::fs::read(folder(&told).join("a.gguf")).unwrap() == weights, "it is what its digest says");
}

#[test]
fn what_cannot_be_had_is_told() {
    let hub = Hub::with(NAME, &[("a-Q4_0.gguf", b"x"), ("a-Q8_0.gguf", b"y")]).unwrap();
    let here = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["Tiny-R1"][..], "`Tiny-R1` is no model of the hub: it is called OWNER/NAME"),
        (&["no/such"], "has no such repository"),
        (&[NAME, "--revision", "none"], "at `none`"),
        (&[NAME, "b.gguf"], "has no file `b.gguf`; it has a-Q4_0.gguf, a-Q8_0.gguf"),
        (&[NAME], "name the one that you want: a-Q4_0.gguf, a-Q8_0.gguf"),
    ] {
        let (status, told) = pull(here.path(), &hub, (None, args));
        assert!(status == 1 && told.contains(said), "{args:?}: {told}");
    }
    hub.want_token("hf_secret");
    let (status, told) = pull(here.path(), &hub, (None, &[NAME, "a-Q4_0.gguf"]));
    assert!(status == 1 && told.contains("HF_TOKEN has to be set"), "{told}");
    let (status, told) = pull(here.path(), &hub, (Some("hf_other"), &[NAME, "a-Q4_0.gguf"]));
    assert!(status == 1 && told.contains("does not let this HF_TOKEN have it") && !told.contains("hf_other"), "{told}");
    let (status, told) = pull(here.path(), &hub, (Some("hf_secret"), &[NAME, "a-Q4_0.gguf"]));
    assert!(status == 0 && told.contains("1 file, 1 B"), "{told}");
    drop(hub);
}
