//! The contract as wasmtime renders it for the host.
//!
//! It is apart because it is generated: nothing is written by hand but which functions may wait. It must not know what a host
//! function does.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from the contract, which carries the documentation")]

wasmtime::component::bindgen!({
    path: "wit/v1",
    world: "plugin",
    imports: {
        "gatewright:plugin/store": async,
        "gatewright:plugin/fetch": async,
        "gatewright:plugin/model": async,
    },
    exports: { default: async },
});
