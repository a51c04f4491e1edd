//! The contract, as `wit-bindgen` renders it: one module a world, which share the types and the host's functions of `host`.
//!
//! It is apart because it is generated: nothing here is written by hand but names. It must not know the macros for authors.
#![allow(missing_docs, reason = "generated from the contract, which carries the documentation")]

/// Types, and the host's functions.
pub mod host {
    wit_bindgen::generate!({ path: "../../wit/v1", world: "host", generate_all });
}

/// Worlds differ in what they export; what they import is `host`'s. A plugin that is both exports both: the linker unites worlds.
macro_rules! world {
    ($module:ident, $world:literal, $export:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit/v1",
                world: $world,
                pub_export_macro: true,
                export_macro_name: $export,
                with: {
                    "gatewright:plugin/types@0.1.1": crate::bindings::host::gatewright::plugin::types,
                    "gatewright:plugin/log@0.1.1": crate::bindings::host::gatewright::plugin::log,
                    "gatewright:plugin/settings@0.1.1": crate::bindings::host::gatewright::plugin::settings,
                    "gatewright:plugin/store@0.1.1": crate::bindings::host::gatewright::plugin::store,
                    "gatewright:plugin/fetch@0.1.1": crate::bindings::host::gatewright::plugin::fetch,
                    "gatewright:plugin/model@0.1.1": crate::bindings::host::gatewright::plugin::model,
                    "gatewright:plugin/metrics@0.1.1": crate::bindings::host::gatewright::plugin::metrics,
                },
            });
        }
    };
}

world!(filter_world, "filter-plugin", "export_filter");
world!(prefilter_world, "prefilter-plugin", "export_prefilter");
world!(tool_world, "tool-plugin", "export_tools");
world!(result_world, "result-plugin", "export_results");
