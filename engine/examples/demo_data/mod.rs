//! The data of the demo model: problems, wordings, other prompts and conversations, all made up from a seed.
//! Apart, because training and scoring share it. It must not know about models, tensors or files.
#![allow(dead_code, reason = "each program uses its part")]

pub(crate) mod calls;
pub(crate) mod dialogue;
mod figures;
pub(crate) mod offers;
pub(crate) mod other;
pub(crate) mod phrasing;
pub(crate) mod problems;
pub(crate) mod rng;
pub(crate) mod sums;
mod words;
