//! The whole, as its users meet it: the real binary beside a scripted upstream. Each story starts processes of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod stories {
    pub mod bad_input;
    pub mod cache;
    pub mod clients;
    pub mod engine;
    pub mod keys;
    pub mod operation;
    pub mod policies;
    pub mod records;
    pub mod tools;
    pub mod upstreams;
}
