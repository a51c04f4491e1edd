//! Trials: the folding of actions, and the promise of streaming, held against models that are too simple to be wrong.
//!
//! Apart because property tests and the fuzz targets in `tests/fuzz` share them; they are compiled for nothing else. They must not
//! know sandboxes: the plugins of a trial are Rust.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod draw;
mod fold;
mod rules;
mod streams;

pub use fold::fold;
pub use streams::Streams;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn actions_come_to_what_the_model_says(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            fold(&bytes);
        }
    }

    #[test]
    fn what_the_client_gets_does_not_depend_on_the_cuts_whatever_the_chain() {
        let streams = Streams::new();
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(20_000)
        });
        let bytes = proptest::collection::vec(any::<u8>(), 0..240);
        runner
            .run(&bytes, |bytes| {
                streams.check(&bytes);
                Ok(())
            })
            .unwrap();
    }
}
