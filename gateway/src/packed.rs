//! The ready-made policies, the demo model and the SDKs of plugins, packed into the binary by `build.rs`.
//!
//! Apart so that the gateway works with nothing installed beside it. It must not know what is in the files.

/// Files of one folder: name within the folder, bytes.
pub type Files = &'static [(&'static str, &'static [u8])];

include!(concat!(env!("OUT_DIR"), "/packed.rs"));

/// The ready-made policies: name of the folder, its files (`plugin.yaml`, Luau sources, `plugin.wasm`). Sorted by name.
pub fn policies() -> &'static [(&'static str, Files)] {
    POLICIES
}

/// One ready-made policy by name.
pub fn policy(name: &str) -> Option<Files> {
    policies().iter().find(|(known, _)| *known == name).map(|(_, files)| *files)
}

/// The demo model in Hugging Face's layout; `None` in a build without it.
pub fn demo() -> Option<Files> {
    DEMO
}

/// What authors of plugins start from: the SDKs with their templates, and the contract. Paths within `plugins/`.
pub fn sdk() -> Files {
    SDK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packed_policy_brings_its_manifest() {
        for (name, files) in policies() {
            assert!(files.iter().any(|(file, _)| *file == "plugin.yaml"), "{name} has no plugin.yaml");
            assert!(policy(name).is_some());
        }
        assert!(policy("no such policy").is_none());
    }

    #[test]
    fn the_demo_model_is_whole_where_it_is_packed() {
        for needed in demo().map_or(&[][..], |_| &["config.json", "tokenizer.json"]) {
            assert!(demo().is_some_and(|files| files.iter().any(|(name, _)| name == needed)), "{needed} is missing");
        }
    }
}
