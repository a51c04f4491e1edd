//! The contract as wasmtime renders it for the host.
//!
//! It is apart because it is generated: nothing is written by hand but which host functions may wait. It must not know what they
//! do, nor how the guest's functions are called (`exports`).
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from the contract, which carries the documentation")]

wasmtime::component::bindgen!({
    path: "wit/v1",
    world: "plugin",
    imports: {
        "gatewright:plugin/fetch": async,
        "gatewright:plugin/model": async,
    },
});

/// The interfaces above that are `async`: a guest that imports one may wait in it.
pub(super) const WAITING: [&str; 2] = ["gatewright:plugin/fetch@", "gatewright:plugin/model@"];
