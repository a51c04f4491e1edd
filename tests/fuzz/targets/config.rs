//! The readers of the configuration and of the mock's script: any text is taken or complained about.
//!
//! Apart because a reload reads whatever is in the file. It must not know what is served.
#![no_main]

use std::path::Path;

use gatewright::environment::Environment;
use gatewright::{config, mock};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let environment = Environment::of(&[("KEY", "sk-1")], "/nowhere");
    if let Err(complaints) = config::load(text, Path::new("/nowhere"), &environment) {
        assert!(!complaints.is_empty());
        complaints.iter().for_each(|complaint| drop(complaint.to_string()));
    }
    drop(mock::Script::parse(text));
});
