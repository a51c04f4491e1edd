//! Texts with `${VARIABLE}` in them, and secrets from the environment or from files.
//!
//! Apart because it is the only place that loads a secret. It must not print one: complaints name where it was looked for.

use std::fs::File;
use std::io::Read;

use super::super::complaint::nearest;
use super::super::facts::Secret;
use super::super::raw::SecretText;
use super::Resolver;

const MAX_SECRET: u64 = 64 << 10;

impl Resolver<'_> {
    /// A text with each `${VARIABLE}` filled in; `$${` is a plain `${`.
    pub(super) fn text(&mut self, pointer: &str, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                filled.push_str(&rest[..at - 1]);
                filled.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            filled.push_str(&rest[..at]);
            let Some((name, after)) = rest[at + 2..].split_once('}') else {
                self.complain(pointer, "`${` has no `}`", Some("write `$${` for a plain `${`".to_owned()));
                return filled;
            };
            filled.push_str(&self.variable(pointer, name));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn variable(&mut self, pointer: &str, name: &str) -> String {
        if let Some(value) = self.around.environment.get(name) {
            return value.to_owned();
        }
        let hint = nearest(name, self.around.environment.names()).filter(|hint| hint.starts_with("did"));
        self.complain(pointer, format!("the environment has no variable `{name}`, or it is empty"), hint);
        String::new()
    }

    /// A secret that is fit to be sent in a header.
    pub(super) fn secret(&mut self, pointer: &str, SecretText(text): &SecretText) -> Secret {
        let before = self.complaints.len();
        let secret = match text.strip_prefix("file:") {
            Some(path) => self.secret_file(pointer, path),
            None => self.text(pointer, text),
        };
        if self.complaints.len() == before && secret.is_empty() {
            self.complain(pointer, "the secret is empty", None);
        }
        if http::HeaderValue::from_str(&secret).is_err() {
            self.complain(pointer, "the secret has a character that cannot be sent in a header", None);
        }
        Secret::new(secret)
    }

    fn secret_file(&mut self, pointer: &str, path: &str) -> String {
        let path = self.path(pointer, path);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_SECRET + 1).read_to_string(&mut text));
        match read {
            Err(error) => self.complain(pointer, format!("cannot read {}: {error}", path.display()), None),
            Ok(bytes) if bytes as u64 > MAX_SECRET => {
                self.complain(pointer, format!("{} is larger than {MAX_SECRET} bytes", path.display()), None);
            }
            Ok(_) => {}
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    }
}
