//! Configuration: YAML text -> facts. `raw` is what a file may say, `schema` judges its shape, `resolve` makes facts of it, `zero`
//! is what counts without a file, `watch` reloads.
//!
//! Apart so that nothing else knows how a fact was written down. It must not know what is done with one.

mod complaint;
mod emit;
pub mod facts;
pub mod keys;
mod litellm;
mod load;
pub(crate) mod pattern;
mod policy;
mod raw;
mod resolve;
mod schema;
mod units;
mod watch;
pub mod yaml;
mod zero;

#[cfg(test)]
mod tests;

pub(crate) use complaint::nearest;
pub use complaint::{Complaint, Mark};
pub use load::{FILE, Misfit, check_file, import_litellm, load, load_file};
pub(crate) use resolve::parse_address;
pub use schema::schema;
pub use watch::{Watch, Watched};
pub use zero::DEMO;
