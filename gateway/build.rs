//! Packs the ready-made policies, the demo model and what authors of plugins start from into the binary: writes tables of
//! `include_bytes!`.
//!
//! Apart because it runs before the crate exists. Folders that are empty or missing give empty tables. It must not
//! know what a file says: it goes by names.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let mut table = String::from("const POLICIES: &[(&str, Files)] = &[\n");
    for folder in folders_of(&root.join("policies"))? {
        let files = files_of(&folder, is_of_a_policy)?;
        if files.iter().any(|file| name_of(file) == "plugin.yaml") {
            writeln!(table, "    ({:?}, {}),", name_of(&folder), list(&files)?)?;
        }
    }
    table.push_str("];\n");
    let demo = match env::var_os("CARGO_FEATURE_ENGINE") {
        Some(_) => files_of(&root.join("engine/demo"), is_of_a_model)?,
        None => Vec::new(),
    };
    match demo.iter().any(|file| name_of(file) == "config.json") {
        true => writeln!(table, "const DEMO: Option<Files> = Some({});", list(&demo)?)?,
        false => writeln!(table, "const DEMO: Option<Files> = None;")?,
    }
    let (plugins, mut sdk) = (root.join("plugins"), Vec::new());
    for part in ["sdk", "wit/v1"] {
        walk(&plugins.join(part), &mut sdk)?;
    }
    writeln!(table, "const SDK: Files = &[")?;
    for file in sdk {
        let name = file.strip_prefix(&plugins)?.to_string_lossy().into_owned();
        writeln!(table, "    ({name:?}, include_bytes!({:?}) as &[u8]),", file.to_string_lossy())?;
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("packed.rs"), table)?;
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

fn is_of_a_policy(name: &str) -> bool {
    name == "plugin.yaml" || name == "plugin.wasm" || name.ends_with(".luau")
}

fn is_of_a_model(name: &str) -> bool {
    name.ends_with(".json") || name.ends_with(".safetensors") || name.ends_with(".jinja")
}

/// Folders in a folder, sorted; a folder that appears later is noticed.
fn folders_of(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    sorted(folder, Path::is_dir)
}

/// Files of a folder that are wanted, sorted; changes to any file there are noticed.
fn files_of(folder: &Path, wanted: fn(&str) -> bool) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    sorted(folder, |path| path.is_file() && wanted(&name_of(path)))
}

fn sorted(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if keep(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// All files under a folder, in order; what a build left there is no part of it.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    files.extend(files_of(folder, |_| true)?);
    let mut folders =
        folders_of(folder)?.into_iter().filter(|folder| !["target", "node_modules"].contains(&name_of(folder).as_str()));
    folders.try_for_each(|folder| walk(&folder, files))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn list(files: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let mut text = String::from("&[");
    for file in files {
        write!(text, "({:?}, include_bytes!({:?}) as &[u8]), ", name_of(file), file.to_string_lossy())?;
    }
    text.push(']');
    Ok(text)
}
