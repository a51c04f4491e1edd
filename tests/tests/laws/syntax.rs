//! Laws that are about syntax: the length of functions, their parameters, global state, unsafe.

use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, FnArg, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemStatic, Signature, Type};

use super::sources::{is_test, rust};

const LONGEST_FUNCTION: usize = 60;
const MOST_PARAMETERS: usize = 4;
#[derive(Default)]
struct Reader {
    file: String,
    in_trait_impl: usize,
    in_test: bool,
    broken: Vec<String>,
}

impl Reader {
    fn say(&mut self, what: String) {
        let file = &self.file;
        self.broken.push(format!("{file}: {what}"));
    }

    fn function(&mut self, signature: &Signature, lines: usize) {
        let name = signature.ident.to_string();
        if lines > LONGEST_FUNCTION {
            self.say(format!("fn {name} has {lines} lines"));
        }
        if self.in_trait_impl > 0 || self.in_test {
            return;
        }
        let typed = signature.inputs.iter().filter_map(|a| if let FnArg::Typed(t) = a { Some(&*t.ty) } else { None });
        let typed: Vec<_> = typed.collect();
        if typed.len() > MOST_PARAMETERS {
            self.say(format!("fn {name} has {} parameters", typed.len()));
        }
        if typed.iter().any(|t| matches!(t, Type::Path(p) if p.path.is_ident("bool"))) {
            self.say(format!("fn {name} takes a bool: give it two names, or an enum"));
        }
    }
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| {
        let text = quoted(a);
        text.contains("cfg (test)") || text.contains("cfg(test)") || a.path().is_ident("test")
    })
}

fn quoted(attribute: &Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => {
            format!("{}({})", list.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default(), list.tokens)
        }
        other => other.path().segments.last().map(|s| s.ident.to_string()).unwrap_or_default(),
    }
}

/// The sources of the house; the load generator of the benchmark is a workspace of its own.
fn house() -> Vec<(std::path::PathBuf, String)> {
    rust().into_iter().filter(|(path, _)| !path.starts_with("tests/bench/tool")).collect()
}

fn lines(spanned: &impl Spanned) -> usize {
    let span = spanned.span();
    span.end().line - span.start().line + 1
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let was = self.in_test;
        self.in_test |= is_test_only(&item.attrs);
        self.function(&item.sig, lines(&item.sig.fn_token.span).max(body_lines(&item.sig, &item.block)));
        visit::visit_item_fn(self, item);
        self.in_test = was;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, body_lines(&item.sig, &item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of_trait = usize::from(item.trait_.is_some());
        self.in_trait_impl += of_trait;
        visit::visit_item_impl(self, item);
        self.in_trait_impl -= of_trait;
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let was = self.in_test;
        self.in_test |= is_test_only(&item.attrs);
        visit::visit_item_mod(self, item);
        self.in_test = was;
    }

    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) || mutable_inside(&item.ty) {
            self.say(format!("static {} is global state", item.ident));
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if item.path.is_ident("thread_local") || item.path.is_ident("lazy_static") {
            self.say("global state by macro".to_owned());
        }
    }
}

fn body_lines(signature: &Signature, block: &syn::Block) -> usize {
    block.brace_token.span.close().end().line - signature.fn_token.span.start().line + 1
}

fn mutable_inside(of: &Type) -> bool {
    let Type::Path(path) = of else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let name = last.ident.to_string();
    name.starts_with("Atomic")
        || ["Mutex", "RwLock", "OnceLock", "LazyLock", "OnceCell", "Cell", "RefCell"].contains(&name.as_str())
}

fn read(path: &Path, text: &str) -> Vec<String> {
    let mut reader = Reader { file: path.display().to_string(), in_test: is_test(path), ..Reader::default() };
    reader.visit_file(&syn::parse_file(text).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    reader.broken
}

#[test]
fn functions_are_short_take_little_and_share_no_global_state() {
    let broken: Vec<_> = house().iter().flat_map(|(path, text)| read(path, text)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn unsafe_stands_only_beside_a_reason() {
    for (path, text) in house() {
        let uses = text.matches("unsafe {").count() + text.matches("unsafe impl").count() + text.matches("unsafe fn").count();
        if uses == 0 || path.ends_with("laws/syntax.rs") {
            continue;
        }
        assert!(text.contains("unsafe_code, reason"), "{}: no lint exception with a reason", path.display());
        assert!(text.matches("SAFETY:").count() >= uses, "{}: {uses} unsafe, fewer SAFETY comments", path.display());
    }
}

#[test]
fn the_reader_sees_what_it_forbids() {
    let bad = "//! x\nstatic A: std::sync::Mutex<u8> = m();\nfn f(a: bool) {}\nfn g(a: u8, b: u8, c: u8, d: u8, e: u8) {}\n";
    let long = format!("//! x\nfn h() {{\n{}}}\n", "let _ = 1;\n".repeat(61));
    assert_eq!(read(Path::new("x.rs"), bad).len(), 3);
    assert_eq!(read(Path::new("x.rs"), &long).len(), 1);
}
