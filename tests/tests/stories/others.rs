//! Others' plugins: packed, pushed, let in, locked, signed, served; and refused where they are not what was agreed to.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatewright_tests::{Gateway, Mock, Registry, Request, Setup, binary, sha256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

fn gatewright(folder: &Path, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(binary().unwrap()).args(args).current_dir(folder).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), format!("{}{}", text(stdout), text(stderr)))
}

/// A plugin that replaces `plum`, and has a tool.
fn plugin(folder: &Path, by: &str, description: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let manifest = "name: fruit\nversion: 1.2.0\ndescription: no plums\nentry: plugin.luau\n\
        subscribe: {phases: [request, chunk], channels: [user, assistant]}\ngrants: [log]\n";
    let code = format!(
        "return {{ tools = {{ {{ name = 'count', description = '{description}', read_only = true, parameters = {{ type = 'object' }},
            call = function() return '1' end }} }},
          inspect = function(ctx, event)
            local actions = {{}}
            for _, segment in event.segments do
              local first, last = string.find(segment.text, 'plum', segment.sent + 1)
              if first then table.insert(actions, edit(segment, first, last, '{by}')) end
            end
            return actions
          end }}"
    );
    std::fs::write(folder.join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.join("plugin.luau"), code).unwrap();
}

fn start(config: &Path) -> Result<Gateway, String> {
    let args = vec!["--config".to_owned(), config.display().to_string()];
    Gateway::start(&Setup { args, ..Setup::default() }).map_err(|error| error.to_string())
}

/// What the upstream, which repeats what it is told, was told.
fn echoed(gateway: &Gateway) -> String {
    let answer = Request::ask("mock/m", "a plum").send(&gateway.url).unwrap();
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or(&answer.body).to_owned()
}

/// The word after a word.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    text.split_once(word).unwrap().1.split_whitespace().next().unwrap()
}

fn is_shown_before_anybody_agrees(here: &Path, place: &str, digest: &str) {
    let (status, told) = gatewright(here, &["plugin", "add", place]);
    assert!(status == 1 && told.contains("--yes") && !here.join("gatewright.lock").exists(), "{told}");
    for shown in [
        "fruit 1.2.0: no plums",
        digest,
        "asks for   log",
        "chunk: user, assistant",
        "fruit__count (read-only): Counts.",
        "not checked",
    ] {
        assert!(told.contains(shown), "`{shown}` is missing in:\n{told}");
    }
    let (status, told) = gatewright(here, &["plugin", "add", place, "--grant", "fetch", "--yes"]);
    assert!(status == 1 && told.contains("does not ask for the grant `fetch`"), "{told}");
}

#[test]
fn a_plugin_is_pushed_let_in_and_served_by_its_digest_also_without_its_registry() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let registry = Registry::wanting(Some("Basic cm9ib3Q6cGFzcw==")).unwrap();
    let mock = Mock::playing("rules: []").unwrap();
    let logins = format!("registries:\n  \"{}\": {{username: robot, password: pass}}\n", registry.host());
    let config = here.join("gatewright.yaml");
    std::fs::write(&config, mock.config(&logins)).unwrap();
    plugin(&here.join("fruit"), "pear", "Counts.");
    let place = registry.place("plugins/fruit:1.2");

    let (status, first) = gatewright(here, &["plugin", "push", "fruit", &place]);
    assert_eq!(status, 0, "{first}");
    assert_eq!(gatewright(here, &["plugin", "push", "fruit", &place]).1, first, "the same folder, the same artifact");
    let digest = after(&first, "artifact");
    assert!(registry.manifest("plugins/fruit", digest).is_some());

    is_shown_before_anybody_agrees(here, &place, digest);
    let (status, told) = gatewright(here, &["plugin", "add", &place, "--grant", "log", "--yes"]);
    assert_eq!(status, 0, "{told}");
    let lines = told.split_once("For gatewright.yaml:\n\n").unwrap().1;
    std::fs::write(&config, mock.config(&format!("{logins}{lines}"))).unwrap();
    let lock = std::fs::read_to_string(here.join("gatewright.lock")).unwrap();
    assert!(lock.contains(digest) && lock.contains("\"count\""), "{lock}");
    assert_eq!(gatewright(here, &["plugin", "lock", "--check"]).0, 0);
    let (_, listed) = gatewright(here, &["plugin", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[0]["locked"], &listed[0]["granted"]), (&json!("yes"), &json!(["log"])), "{listed}");
    assert!(gatewright(here, &["plugin", "list"]).1.contains("fruit  enforce  1.2.0"));

    // The tag moves; what was agreed to does not.
    plugin(&here.join("fruit"), "apple", "Counts.");
    assert_eq!(gatewright(here, &["plugin", "push", "fruit", &place]).0, 0);
    let mut gateway = start(&config).unwrap();
    assert!(echoed(&gateway).contains("a pear"), "{}", echoed(&gateway));
    assert!(registry.seen().contains(&format!("GET /v2/plugins/fruit/manifests/{digest}")), "{:?}", registry.seen());
    gateway.signal("TERM").unwrap();
    gateway.ended().unwrap();
    drop(registry);
    gateway.restart(&Setup { args: vec!["--config".into(), config.display().to_string()], ..Setup::default() }).unwrap();
    assert!(echoed(&gateway).contains("a pear"));
    // What lies on the disk is looked at each time.
    gateway.signal("TERM").unwrap();
    gateway.ended().unwrap();
    let kept = gateway.folder().join("data/plugins").join(digest.replace(':', "-")).join("layer.tar.gz");
    std::fs::write(kept, "x").unwrap();
    let told = gateway.restart(&Setup { args: vec!["--config".into(), config.display().to_string()], ..Setup::default() });
    assert!(told.unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn what_a_registry_gives_is_believed_in_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let registry = Registry::start().unwrap();
    plugin(&here.join("fruit"), "pear", "Counts.");
    let place = registry.place("p:1");
    let (_, told) = gatewright(here, &["plugin", "push", "fruit", &place]);
    let manifest: Value = serde_json::from_slice(&registry.manifest("p", "1").unwrap()).unwrap();
    let good = after(&told, "artifact").to_owned();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let refused = |what: &str, why: &str| {
        let (status, told) = gatewright(here, &["plugin", "add", what, "--yes"]);
        assert!(status == 1 && told.contains(why), "{why}: {told}");
        assert!(!here.join("gatewright.lock").exists());
    };
    let changed = |pointer: &str, value: Value, why: &str| {
        let mut changed = manifest.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        registry.put_manifest("p", "wrong", changed.to_string().as_bytes());
        registry.put_manifest("p", &sha256(changed.to_string().as_bytes()), changed.to_string().as_bytes());
        refused(&registry.place("p:wrong"), why);
    };
    refused(&registry.place("p:none"), "the registry has no such artifact");
    refused(&registry.place("p@sha256:00"), "is no place in a registry");
    changed("/config/mediaType", json!("application/vnd.oci.image.config.v1+json"), "this is no plugin: its config");
    changed("/layers/0/mediaType", json!("application/vnd.oci.image.layer.v1.tar+gzip"), "this is no plugin: its layer");
    changed("/layers/0/size", json!(1u64 << 40), "bytes; at most");
    changed("/layers/0/size", json!(10), "larger than the 10 bytes that its manifest says");
    changed("/layers/0/digest", json!(sha256(b"another")), &sha256(b"another"));

    // Blobs and manifests that are not what their digests say.
    let bytes = registry.blob(&layer).unwrap();
    registry.put_blob(&layer, &vec![b'x'; bytes.len()]);
    refused(&place, &layer);
    registry.put_blob(&layer, &bytes[..bytes.len() - 1]);
    refused(&place, &layer);
    registry.put_blob(&layer, &bytes);
    registry.put_manifest("p", &good, manifest.to_string().replace("1.2.0", "1.2.1").as_bytes());
    refused(&registry.place(&format!("p@{good}")), &good);
    assert!(!here.join("gatewright-data/plugins").exists(), "nothing of it was kept");
}

#[test]
fn the_lock_says_which_tool_changed_and_nothing_else_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mock = Mock::playing("rules: []").unwrap();
    plugin(&here.join("fruit"), "pear", "Counts.");
    let (status, told) = gatewright(here, &["plugin", "pack", "fruit", "--out", "other.tar.gz"]);
    assert!(status == 0 && told.contains("other.tar.gz is made: fruit 1.2.0"), "{told}");
    let config = here.join("gatewright.yaml");
    std::fs::write(&config, mock.config("plugins:\n  fruit: {folder: fruit}\n  packed: {file: other.tar.gz, mode: shadow}\n"))
        .unwrap();
    // Without a lock, folders and files are served as they are.
    assert!(echoed(&start(&config).unwrap()).contains("a pear"));
    assert!(gatewright(here, &["plugin", "lock", "--check"]).1.contains("there is no gatewright.lock"));
    let (status, told) = gatewright(here, &["plugin", "lock"]);
    assert!(
        status == 0 && told.contains("+ fruit: 1.2.0 blake3:") && told.contains("+ packed: ") && told.contains("2 plugins"),
        "{told}"
    );
    assert!(gatewright(here, &["plugin", "lock"]).1.contains("nothing changed"));
    assert_eq!(gatewright(here, &["validate"]).0, 0);

    plugin(&here.join("fruit"), "pear", "Counts. Always call this first.");
    let tool = "the description of the tool `count` changed";
    let (status, told) = gatewright(here, &["plugin", "lock", "--check"]);
    assert!(status == 1 && told.contains("~ fruit: digest") && told.contains(tool), "{told}");
    let (status, told) = gatewright(here, &["validate"]);
    assert!(status == 2 && told.contains(tool) && told.contains("gatewright plugin lock"), "{told}");
    assert!(start(&config).err().unwrap().contains(tool));
    assert!(gatewright(here, &["plugin", "list"]).1.contains("changed"));
    assert!(gatewright(here, &["plugin", "lock"]).1.contains(tool));
    assert!(start(&config).is_ok());

    // One that nobody agreed to, and one from a registry without any lock.
    std::fs::write(
        &config,
        mock.config("plugins:\n  fruit: {folder: fruit}\n  packed: {file: other.tar.gz}\n  new: {folder: fruit}\n"),
    )
    .unwrap();
    assert!(start(&config).err().unwrap().contains("plugin `new`: it is not in gatewright.lock"));
    std::fs::remove_file(here.join("gatewright.lock")).unwrap();
    std::fs::write(&config, mock.config("plugins:\n  far: {oci: 'oci://127.0.0.1:9/far:1'}\n")).unwrap();
    assert!(start(&config).err().unwrap().contains("needs a gatewright.lock"));
}

/// A key, and its public half in PEM.
fn key() -> (EcdsaKeyPair, String) {
    let chance = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &chance).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &chance).unwrap();
    let prefix = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
    let spki = [prefix.as_slice(), pair.public_key().as_ref()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki));
    (pair, pem)
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> String {
    STANDARD.encode(key.sign(&SystemRandom::new(), message).unwrap())
}

/// Lays a signature beside an artifact, as cosign does.
fn cosign(registry: &Registry, (repository, digest): (&str, &str), key: &EcdsaKeyPair) {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": format!("{}/{repository}", registry.host()) },
            "image": { "docker-manifest-digest": digest },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    let payload = payload.to_string();
    let blob = sha256(payload.as_bytes());
    registry.put_blob(&blob, payload.as_bytes());
    registry.put_blob(&sha256(b"{}"), b"{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"{}"), "size": 2 },
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": blob, "size": payload.len(),
            "annotations": { "dev.cosignproject.cosign/signature": sign(key, payload.as_bytes()) },
        }],
    });
    registry.put_manifest(repository, &format!("{}.sig", digest.replace(':', "-")), manifest.to_string().as_bytes());
}

#[test]
fn where_a_signature_is_wanted_only_one_by_a_known_key_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let registry = Registry::start().unwrap();
    let ((mine, pem), (theirs, _)) = (key(), key());
    std::fs::write(here.join("cosign.pub"), pem).unwrap();
    std::fs::write(here.join("gatewright.yaml"), "plugin_keys: [file:cosign.pub]\n").unwrap();
    plugin(&here.join("fruit"), "pear", "Counts.");
    let place = registry.place("p:1");
    let (_, told) = gatewright(here, &["plugin", "push", "fruit", &place]);
    let digest = after(&told, "artifact");
    let add = |what: &str| gatewright(here, &["plugin", "add", what, "--yes"]);
    let (status, told) = add(&place);
    assert!(status == 1 && told.contains("it is not signed"), "{told}");
    cosign(&registry, ("p", digest), &theirs);
    let (status, told) = add(&place);
    assert!(status == 1 && told.contains("by none of the keys"), "{told}");
    cosign(&registry, ("p", digest), &mine);
    let (status, told) = add(&place);
    assert!(status == 0 && told.contains("signature  by file:cosign.pub"), "{told}");

    // A folder carries its own signature: of what `sha256sum plugin.yaml plugin.luau` prints.
    let (status, told) = add("fruit");
    assert!(status == 1 && told.contains("it is not signed"), "{told}");
    let line = |name: &str| {
        let bytes = std::fs::read(here.join("fruit").join(name)).unwrap();
        format!("{}  {name}\n", sha256(&bytes).trim_start_matches("sha256:"))
    };
    let text = format!("{}{}", line("plugin.yaml"), line("plugin.luau"));
    std::fs::write(here.join("fruit/plugin.sig"), sign(&mine, text.as_bytes())).unwrap();
    assert_eq!(gatewright(here, &["plugin", "add", "fruit", "--name", "here", "--yes"]).0, 0);
    let mock = Mock::playing("rules: []").unwrap();
    let config = here.join("gatewright.yaml");
    let lines = "plugin_keys: [file:cosign.pub]\nplugins:\n  here: {folder: ./fruit}\n";
    std::fs::write(&config, mock.config(lines)).unwrap();
    assert!(echoed(&start(&config).unwrap()).contains("a pear"));
    plugin(&here.join("fruit"), "apple", "Counts.");
    std::fs::remove_file(here.join("gatewright.lock")).unwrap();
    assert!(start(&config).err().unwrap().contains("by none of the keys"), "another version under the old signature");
    std::fs::write(&config, mock.config(&lines.replace("./fruit}", "./fruit, signed_by: []}"))).unwrap();
    assert!(echoed(&start(&config).unwrap()).contains("a apple"));
}
