//! The readers of a plugin's folder: any manifest and any cases are taken or complained about.
//!
//! Apart because operators run strangers' plugins. It must not know what a plugin does.
#![no_main]

use std::sync::LazyLock;

use gatewright_plugins::{Host, Operator, Source, cases};
use libfuzzer_sys::fuzz_target;

static PLACE: LazyLock<(Host, tempfile::TempDir)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plugin.luau"), "return {}").expect("a file");
    (Host::new(1), folder)
});

fuzz_target!(|text: &str| {
    drop(cases::read(text));
    let (host, folder) = &*PLACE;
    std::fs::write(folder.path().join("plugin.yaml"), text).expect("a file");
    drop(host.load(&Source::Folder(folder.path().to_owned()), &Operator::default()));
});
