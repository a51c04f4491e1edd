//! Families of models: config.json and weight names to layers.
//!
//! Apart because a family is one file. They must not know requests, text or channels.

pub(crate) mod qwen2;
