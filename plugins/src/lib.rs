//! The plugin host: WASM components and Luau, sandboxed, on a stream of typed channels.
//!
//! Apart so that nothing else touches guests. It must not know HTTP: it sees text segments, tools and grants. The clock and all
//! powers come from outside as traits. [`Host::load`] makes a [`Plugin`] of a folder, [`Chain::new`] puts plugins in order,
//! [`Chain::open`] opens a [`Session`] for one request. What plugins are told and may answer is in `wit/v1/plugin.wit`; `README.md`
//! beside this crate explains it.

mod api;
pub mod cases;
mod chain;
mod clock;
mod flow;
mod grants;
mod guest;
mod host;
mod idle;
mod ledger;
mod lua;
mod manifest;
mod pace;
mod prefilter;
mod seat;
mod services;
mod session;
#[cfg(all(test, feature = "shuttle"))]
mod shuttle_tests;
mod stream;
mod sync;
mod tools;
#[cfg(any(test, fuzzing))]
pub mod trial;
mod wasm;
mod yaml;

pub use api::*;
pub use host::{Host, Plugin, Spent};
pub use manifest::is_plugin_name;
pub use session::{Chain, Session};
