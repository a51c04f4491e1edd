//! The nouns of Gatewright that every room shares: requests, messages, deltas, segments, faults.
//!
//! Apart because the rooms meet in these alone. Invariant: nothing here does I/O, waits, or fails except by parsing. It must not know
//! a wire format by name (the dialects of the gateway do), HTTP or a runtime.

mod checkpoint;
mod chunk;
mod completion;
mod device;
mod extras;
mod fault;
mod prefill;
mod priority;
mod quantization;
mod request;
mod segment;

pub use checkpoint::{TemplateChoice, YarnReading};
pub use chunk::{Chunk, Delta, FinishReason, Raw, Usage};
pub use completion::{Choice, Completion, Run, gather_into};
pub use device::DeviceChoice;
pub use extras::{Extras, RawJson};
pub use fault::{Fault, FaultKind, Retry, Side};
pub use prefill::Prefill;
pub use priority::Priority;
pub use quantization::Quantization;
pub use request::{
    ChatRequest, Content, Message, NO_ARGUMENTS, Origin, Part, Role, Sampling, Thinking, Tool, ToolCall, ToolDefinition,
};
pub use segment::{Channel, Phase, Segment};
