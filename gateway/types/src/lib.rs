//! The nouns of Gatewright that every room shares: requests, messages, deltas, segments, faults.
//!
//! Invariant: nothing here does I/O, waits, or fails except by parsing. It knows no wire format by name (the dialects of the
//! gateway do), no HTTP and no runtime.

mod chunk;
mod completion;
mod device;
mod extras;
mod fault;
mod request;
mod segment;

pub use chunk::{Chunk, Delta, FinishReason, Raw, Usage};
pub use completion::{Choice, Completion, gather_into};
pub use device::DeviceChoice;
pub use extras::{Extras, RawJson};
pub use fault::{Fault, FaultKind, Retry, Side};
pub use request::{ChatRequest, Content, Message, Part, Role, Sampling, Tool, ToolCall, ToolDefinition};
pub use segment::{Channel, Phase, Segment};
