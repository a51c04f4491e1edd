//! Configuration: YAML text -> facts. `raw` is what a file may say, `resolve` makes facts of it, `watch` reloads.

pub mod facts;
