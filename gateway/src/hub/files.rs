//! Names at the hub: of a model, and of the files of it that are wanted.
//!
//! Apart because it is pure, and decides what may become a path. It must not know how anything is fetched.

use super::Wanted;

/// Longest name of a file, in bytes.
const LONGEST_NAME: usize = 512;

/// `owner/name`, of characters that the hub allows.
pub(super) fn check(repository: &str) -> Result<(), String> {
    let good = |part: &str| {
        let all = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        (1..=96).contains(&part.len()) && all && !part.starts_with('.') && !part.contains("..")
    };
    match repository.split_once('/') {
        Some((owner, name)) if good(owner) && good(name) => Ok(()),
        _ => Err(format!(
            "`{repository}` is no model of the hub: it is called OWNER/NAME, as in deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
        )),
    }
}

/// Files that a checkpoint needs beside its weights.
const BESIDE: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
];

/// Which files are to be fetched.
pub(super) fn chosen(wanted: &Wanted, all: &[String]) -> Result<Vec<String>, String> {
    let mut files: Vec<String> = if wanted.files.is_empty() {
        let weights = |file: &&String| file.ends_with(".safetensors") && !file.contains('/');
        if !all.iter().any(|file| weights(&file)) {
            return Err(none(wanted, all));
        }
        all.iter().filter(|file| weights(file) || BESIDE.contains(&file.as_str())).cloned().collect()
    } else {
        for file in &wanted.files {
            if !all.contains(file) {
                return Err(format!("{} has no file `{file}`; it has {}", wanted.repository, listed(all)));
            }
        }
        wanted.files.clone()
    };
    files.sort();
    files.dedup();
    match files.iter().find(|file| !is_plain(file)) {
        Some(file) => Err(format!("{}: a file is called `{}`, which is no name for one", wanted.repository, file.escape_debug())),
        None => Ok(files),
    }
}

/// Why nothing was chosen.
fn none(wanted: &Wanted, all: &[String]) -> String {
    let ggufs: Vec<String> = all.iter().filter(|file| file.ends_with(".gguf")).cloned().collect();
    match ggufs.as_slice() {
        [] => format!("{} has no weights in safetensors; it has {}", wanted.repository, listed(all)),
        _ => format!("{} has GGUF files: name the one that you want: {}", wanted.repository, listed(&ggufs)),
    }
}

fn listed(files: &[String]) -> String {
    let shown: Vec<String> = files.iter().take(24).map(|file| file.escape_debug().to_string()).collect();
    let more = files.len().saturating_sub(shown.len());
    match (shown.as_slice(), more) {
        ([], _) => "no files".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether it is a path that leads nowhere else.
fn is_plain(file: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']) && !part.chars().any(char::is_control)
    };
    file.len() <= LONGEST_NAME && file.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(files: &[&str]) -> Wanted {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        Wanted { repository: "a/b".into(), revision: "main".into(), files }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_model_is_its_weights_and_what_they_need() {
        let all = names(&[
            "README.md",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "original/model.safetensors",
            "pytorch_model.bin",
            "tokenizer.json",
        ]);
        let files = chosen(&wanted(&[]), &all).unwrap();
        assert_eq!(files, [&all[1], &all[2], &all[3], &all[4], &all[7]].map(String::as_str));
        assert_eq!(chosen(&wanted(&["README.md", "README.md"]), &all).unwrap(), ["README.md"]);
        assert!(chosen(&wanted(&["x"]), &all).unwrap_err().contains("has no file `x`; it has README.md"));
        let told = chosen(&wanted(&[]), &names(&["a-Q4.gguf", "a-Q8.gguf", "README.md"])).unwrap_err();
        assert!(told.contains("name the one that you want: a-Q4.gguf, a-Q8.gguf"), "{told}");
        assert!(chosen(&wanted(&[]), &[]).unwrap_err().contains("it has no files"));
    }

    #[test]
    fn names_lead_nowhere_else() {
        for wrong in ["../x", "a/../b", "/etc/passwd", "a//b", "", ".", "a\\b", "a\0", "a\n", &"a".repeat(513)] {
            assert!(!is_plain(wrong), "{wrong:?}");
            assert!(chosen(&wanted(&[wrong]), &names(&[wrong])).is_err());
        }
        assert!(is_plain("original/model.safetensors"));
        for wrong in ["a", "a/b/c", "../b", "a/..", "a/", "/b", "a b/c", "a/.b"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B").is_ok());
    }
}
