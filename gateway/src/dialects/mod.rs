//! The APIs that clients and upstreams speak: for each a reader and a writer around the canonical request and its deltas.
//!
//! Apart so that a wire format is known in one folder. A dialect must not know who asks, who answers, or what a policy is.

pub mod openai_chat;
