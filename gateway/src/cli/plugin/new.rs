//! `gatewright plugin new`: a folder that works at once, to be changed.
//!
//! Apart because what it writes is files of their own (`plugins/sdk`), which tests build and run. It must not know what a plugin is for,
//! nor what the files say.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use gatewright_plugins::is_plugin_name;

use super::super::run::{Outcome, failed, print};
use crate::packed;

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// Luau, Roblox's Lua
    #[default]
    Lua,
    /// Rust, compiled to WASM
    Rust,
    /// JavaScript, in WASM
    Js,
}

/// Where a part of the SDK goes in the new folder: whose it is (nothing: everybody's), its path in the SDK, its path there.
type Part = (Option<Lang>, &'static str, &'static str);

const TEMPLATES: [Part; 4] = [
    (None, "sdk/template/", ""),
    (Some(Lang::Lua), "sdk/lua/template/", ""),
    (Some(Lang::Rust), "sdk/rust/template/", ""),
    (Some(Lang::Js), "sdk/js/template/", ""),
];
const SOURCES: [Part; 6] = [
    (Some(Lang::Lua), "sdk/lua/gatewright.d.luau", "gatewright.d.luau"),
    (Some(Lang::Rust), "sdk/rust/Cargo.toml", "sdk/Cargo.toml"),
    (Some(Lang::Rust), "sdk/rust/src/", "sdk/src/"),
    (Some(Lang::Rust), "sdk/rust/macros/", "sdk/macros/"),
    (Some(Lang::Rust), "wit/v1/", "sdk/wit/"),
    (Some(Lang::Js), "wit/v1/", "wit/"),
];
/// Paths of the SDK as they are among our sources, and in the new folder.
const PATHS: [(&str, &str); 2] = [("path = \"..\"", "path = \"sdk\""), ("../../wit/v1", "wit")];
/// How a line of a template begins that opens or closes a section: a comment, in any of its languages.
const COMMENTS: [&str; 4] = ["# [", "-- [", "// [", "<!-- ["];

/// Makes the folder. `tags` are the sections of the templates that are wanted, beside the language's.
pub(super) fn new(name: &str, folder: Option<PathBuf>, lang: Lang, tags: &[&str]) -> Outcome {
    if !is_plugin_name(name) {
        return Err(failed(&format_args!("`{name}` is no name for a plugin: 1 to 40 of a-z, 0-9 and -")));
    }
    let folder = folder.unwrap_or_else(|| PathBuf::from(name));
    // Nothing that is there is written over.
    if folder.exists() {
        return Err(failed(&format_args!("{} is there already; choose another with --folder", folder.display())));
    }
    let tags: Vec<&str> = tags.iter().copied().chain([lang.tag()]).collect();
    for (path, text) in packed::sdk() {
        let text = String::from_utf8_lossy(text);
        if let Some(place) = place(&TEMPLATES, lang, path) {
            write(&folder.join(place), &at_home(&sections(&text, &tags).replace("NAME", name)))?;
        }
        if let Some(place) = place(&SOURCES, lang, path) {
            write(&folder.join(place), &at_home(&text))?;
        }
    }
    print(&told(name, &folder, lang))
}

impl Lang {
    const fn tag(self) -> &'static str {
        match self {
            Self::Lua => "lua",
            Self::Rust => "rust",
            Self::Js => "js",
        }
    }
}

/// Where a file of the SDK goes, if it is of one of these parts.
fn place(parts: &[Part], lang: Lang, path: &str) -> Option<String> {
    let mine = parts.iter().filter(|(of, ..)| of.is_none_or(|of| of == lang));
    mine.filter_map(|(_, from, to)| Some(format!("{to}{}", path.strip_prefix(from)?))).next()
}

fn at_home(text: &str) -> String {
    PATHS.iter().fold(text.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
}

/// A template without the sections that are not wanted: from a comment `[tag]` to a comment `[/tag]`.
fn sections(text: &str, tags: &[&str]) -> String {
    let (mut out, mut unwanted) = (String::new(), None);
    for line in text.lines() {
        match marker(line) {
            Some(tag) => match tag.strip_prefix('/') {
                Some(closed) => unwanted = unwanted.filter(|open| *open != closed),
                None => unwanted = unwanted.or_else(|| (!tags.contains(&tag)).then_some(tag)),
            },
            None if unwanted.is_none() => {
                out.push_str(line);
                out.push('\n');
            }
            None => {}
        }
    }
    out
}

fn marker(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = COMMENTS.iter().find_map(|comment| line.strip_prefix(comment))?;
    rest.strip_suffix("-->").unwrap_or(rest).trim_end().strip_suffix(']')
}

fn told(name: &str, folder: &Path, lang: Lang) -> String {
    let place = folder.display();
    let (written, before) = match lang {
        Lang::Lua => ("Lua", String::new()),
        Lang::Rust => ("Rust", format!("  gatewright plugin build {place}\n")),
        Lang::Js => ("JavaScript", format!("  (cd {place} && npm install)\n  gatewright plugin build {place}\n")),
    };
    format!(
        "{place} is made: a plugin in {written} that redacts the words of a list.\n\n{before}  gatewright plugin test {place}\n  \
         gatewright plugin run {place} --settings '{{\"words\": [\"plum\"]}}' 'a plum tree'\n\nFor gatewright.yaml:\n\nplugins:\n  {name}: \
         {{folder: {place}, grants: [settings], settings: {{words: [plum]}}}}\n"
    )
}

fn write(path: &Path, text: &str) -> Outcome {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| failed(&format_args!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::sections;

    #[test]
    fn sections_that_are_not_wanted_are_left_out_with_their_marks() {
        let text = "a\n# [x]\nb\n# [/x]\n  // [y]\nc\n  // [/y]\n<!-- [x] -->\nd\n<!-- [/x] -->\n-- [z] and more\n[x]\n";
        assert_eq!(sections(text, &["x"]), "a\nb\nd\n-- [z] and more\n[x]\n");
        assert_eq!(sections(text, &["y"]), "a\nc\n-- [z] and more\n[x]\n");
    }
}
