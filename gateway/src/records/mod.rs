//! What may not be lost: one row a request, and answers that clients want kept, in SQLite in the data folder, written behind a bounded
//! queue.
//!
//! Apart because it alone knows SQL. It must not know a request, a dialect or HTTP, and it is not the cache.

mod conversations;
mod queue;
mod row;
mod schema;
mod usage;
mod write;

pub use conversations::Conversation;
pub use queue::{Full, Records, Slot};
pub use row::Row;
pub(crate) use row::micros;
pub use schema::RecordsError;
pub use usage::{UsageFilter, UsageLine, json, table, usage};
