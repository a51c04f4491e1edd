//! What an author of a Rust guest writes against: the contract's types, the host's functions, an attribute that makes a filter of one
//! function, a macro for tools, and [`Redactor`], which makes edits and holds of matches.
//!
//! ```ignore
//! use gatewright_plugin::{Action, Context, Event};
//!
//! #[gatewright_plugin::filter]
//! fn inspect(_ctx: &Context, event: &Event) -> Vec<Action> {
//!     event.segments.iter().filter(|it| it.text.contains("teapot")).map(|_| Action::block("teapot", "I am a teapot.")).collect()
//! }
//! ```
//!
//! It is apart from the host because guests are compiled for another target. It must not know any policy. What the functions and
//! types mean is said once, in `plugins/wit/`.

mod actions;
mod bindings;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod heap;
mod json;
#[cfg(any(all(target_family = "wasm", target_os = "unknown"), test))]
mod piece;
mod redactor;

pub use bindings::host::gatewright::plugin::types::{
    Action, Channel, Context, Denial, Edit, Event, Hold, HostError, Phase, Reask, Segment,
};
pub use bindings::host::gatewright::plugin::{fetch, log, metrics, model, settings, store};
pub use bindings::tool_world::exports::gatewright::plugin::tools::{Failure, Tool};
/// Makes the crate a filter: `fn inspect(&Context, &Event) -> impl Answer`; or `fn inspect(&State, &Context, &Event) -> impl Answer`,
/// where `State` is [`Load`]. With `#[filter(prefilter = function)]`, `fn function(&State) -> Vec<String>` gives regular expressions,
/// one of which matches where anything begins that `inspect` looks for: it is asked about no other text. One function of a crate has
/// this attribute; a crate may have [`tools!`] too.
pub use gatewright_plugin_macros::filter;
pub use json::Json;
pub use redactor::{End, Found, Matcher, Redactor, Words};

#[doc(hidden)]
pub use bindings::{filter_world, prefilter_world, result_world, tool_world};

/// What `inspect` may return: actions, or actions or a complaint (which the host takes for a failure of this plugin).
pub trait Answer {
    /// The contract's form.
    ///
    /// # Errors
    /// The complaint, as it was.
    fn into_answer(self) -> Result<Vec<Action>, String>;
}

impl Answer for Vec<Action> {
    fn into_answer(self) -> Result<Vec<Action>, String> {
        Ok(self)
    }
}

impl Answer for Result<Vec<Action>, String> {
    fn into_answer(self) -> Result<Vec<Action>, String> {
        self
    }
}

/// What a plugin makes of its settings once, before the first event. An instance serves one request and sees no other.
pub trait Load: Sized {
    /// Asks the host for what is needed.
    ///
    /// # Errors
    /// Why the plugin cannot work; each event then fails with it.
    fn load() -> Result<Self, String>;
}

/// Loads what [`filter`] keeps.
#[doc(hidden)]
pub fn load<T: Load>() -> Result<T, String> {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    return heap::keep(T::load);
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    T::load()
}

/// What [`filter`] writes: the function, its state, its prefilter.
#[doc(hidden)]
#[macro_export]
macro_rules! __filter {
    ($inspect:path) => {
        $crate::__filter!(@export |ctx, ev| $crate::Answer::into_answer($inspect(&ctx, &ev)));
    };
    ($inspect:path, $state:ty) => {
        $crate::__filter!(@state $state);
        $crate::__filter!(@export |ctx, ev| with_state(|state| $crate::Answer::into_answer($inspect(state, &ctx, &ev))));
    };
    ($inspect:path, $state:ty, $prefilter:path) => {
        $crate::__filter!($inspect, $state);
        #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "exported to a host only"))]
        struct Prefilter;
        impl $crate::prefilter_world::exports::gatewright::plugin::prefilter::Guest for Prefilter {
            fn patterns() -> Result<Vec<String>, String> {
                with_state(|state| Ok($prefilter(state)))
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::prefilter_world::export_prefilter!(Prefilter with_types_in $crate::prefilter_world);
    };
    (@state $state:ty) => {
        std::thread_local! {
            static STATE: std::cell::OnceCell<Result<$state, String>> = const { std::cell::OnceCell::new() };
        }
        fn with_state<T>(use_it: impl FnOnce(&$state) -> Result<T, String>) -> Result<T, String> {
            STATE.with(|cell| match cell.get_or_init($crate::load::<$state>) {
                Ok(state) => use_it(state),
                Err(why) => Err(why.clone()),
            })
        }
    };
    (@export |$ctx:ident, $ev:ident| $body:expr) => {
        #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "exported to a host only"))]
        struct Filter;
        impl $crate::filter_world::exports::gatewright::plugin::filter::Guest for Filter {
            fn inspect($ctx: $crate::Context, $ev: $crate::Event) -> Result<Vec<$crate::Action>, String> {
                $body
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::filter_world::export_filter!(Filter with_types_in $crate::filter_world);
    };
}

/// Makes the crate a set of tools: `tools!(declare, call)`, where `fn declare() -> Vec<Tool>` and
/// `fn call(&Context, name: &str, arguments: &str) -> Result<String, Failure>`. With `tools!(declare, call, results)`,
/// `fn results() -> Vec<(String, String)>` gives JSON Schemas of what tools give back, by the tools' names: the host then sees to it that
/// it is JSON that fits. A crate may be a filter too.
#[macro_export]
macro_rules! tools {
    ($declare:path, $call:path) => {
        #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "exported to a host only"))]
        struct Tools;
        impl $crate::tool_world::exports::gatewright::plugin::tools::Guest for Tools {
            fn declare() -> Vec<$crate::Tool> {
                $declare()
            }
            fn call(ctx: $crate::Context, name: String, arguments: String) -> Result<String, $crate::Failure> {
                $call(&ctx, &name, &arguments)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::tool_world::export_tools!(Tools with_types_in $crate::tool_world);
    };
    ($declare:path, $call:path, $results:path) => {
        $crate::tools!($declare, $call);
        #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "exported to a host only"))]
        struct Results;
        impl $crate::result_world::exports::gatewright::plugin::results::Guest for Results {
            fn schemas() -> Vec<(String, String)> {
                $results()
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::result_world::export_results!(Results with_types_in $crate::result_world);
    };
}
