//! `gatewright plugin new`: a folder that works at once, to be changed.
//!
//! Apart because the template is files of their own, which tests run. It must not know what a plugin is for.

use std::path::{Path, PathBuf};

use gatewright_plugins::is_plugin_name;

use super::super::run::{Outcome, failed, print};

/// The template: path in the folder, text; `NAME` stands for the plugin's name.
const TEMPLATE: [(&str, &str); 5] = [
    ("plugin.yaml", include_str!("template/plugin.yaml")),
    ("plugin.luau", include_str!("template/plugin.luau")),
    ("cases/first.yaml", include_str!("template/cases.yaml")),
    ("README.md", include_str!("template/README.md")),
    ("gatewright.d.luau", include_str!("../../../../plugins/sdk/lua/gatewright.d.luau")),
];

/// Makes the folder.
pub(super) fn new(name: &str, folder: Option<PathBuf>) -> Outcome {
    if !is_plugin_name(name) {
        return Err(failed(&format_args!("`{name}` is no name for a plugin: 1 to 40 of a-z, 0-9 and -")));
    }
    let folder = folder.unwrap_or_else(|| PathBuf::from(name));
    // Nothing that is there is written over.
    if folder.exists() {
        return Err(failed(&format_args!("{} is there already; choose another with --folder", folder.display())));
    }
    for (path, text) in TEMPLATE {
        write(&folder.join(path), &text.replace("NAME", name))?;
    }
    let place = folder.display();
    print(&format!(
        "{place} is made: a plugin in Lua that redacts the words of a list.\n\n  gatewright plugin test {place}\n  \
         gatewright plugin run {place} --settings '{{\"words\": [\"plum\"]}}' 'a plum tree'\n\nFor gatewright.yaml:\n\nplugins:\n  {name}: \
         {{folder: {place}, grants: [settings], settings: {{words: [plum]}}}}\n"
    ))
}

fn write(path: &Path, text: &str) -> Outcome {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| failed(&format_args!("{}: {error}", path.display())))
}
