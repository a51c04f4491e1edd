//! The whole, as its users meet it: the real binary beside a scripted upstream. Each story starts processes of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod stories {
    mod authors;
    mod bad_input;
    mod cache;
    mod chains;
    mod chatting;
    mod clients;
    mod cuda;
    mod engine;
    mod hang_ups;
    mod keys;
    mod litellm;
    mod logs;
    mod messages;
    mod operation;
    mod others;
    mod policies;
    mod providers;
    mod pulling;
    mod reach;
    mod records;
    mod reloading;
    mod responses;
    mod routing;
    mod starting;
    mod texts;
    mod tools;
    mod upstreams;
}
