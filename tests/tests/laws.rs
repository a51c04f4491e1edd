//! The laws of the house: each test fails when one breaks. It knows the sources as text and syntax, never what they do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod laws {
    mod arrows;
    mod sources;
    mod syntax;
    mod text;
    mod things;
}
