//! The laws of the house: each test fails when one breaks. It knows the sources as text and syntax, never what they do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod laws {
    pub mod arrows;
    pub mod sources;
    pub mod syntax;
    pub mod text;
    pub mod things;
}
