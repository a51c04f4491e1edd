//! The plugin host: WASM components and Luau, sandboxed, on a stream of typed channels.
//!
//! Apart so that nothing else touches guests. It must not know HTTP: it sees text segments, tools and grants. The clock and all
//! powers come from outside as traits. [`Host::load`] makes a [`Plugin`] of a folder, [`Chain::new`] puts plugins in order,
//! [`Chain::open`] opens a [`Session`] for one request. What plugins are told and may answer is in `wit/v1/plugin.wit`; `README.md`
//! beside this crate explains it.

mod about;
mod api;
mod archive;
mod bundle;
pub mod cases;
mod chain;
mod clock;
mod component;
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
mod reach;
mod rollout;
mod seat;
mod services;
mod session;
mod settings;
#[cfg(all(test, feature = "shuttle"))]
mod shuttle_tests;
mod stream;
mod sync;
mod ticker;
mod tools;
#[cfg(any(test, fuzzing))]
pub mod trial;
mod wasm;
mod yaml;

pub use about::About;
pub use api::*;
pub use archive::pack;
pub use bundle::Bundle;
pub use component::{Malformed, component};
pub use host::{Host, Plugin, Spent, wrong_settings};
pub use manifest::is_plugin_name;
pub use reach::{Ask, Fetch, FetchRequest, FetchResponse, Notes, Question, Reach, ServiceError};
pub use session::{Chain, Session};
pub use settings::WrongSetting;
