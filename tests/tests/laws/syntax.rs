//! Laws that are about syntax: the length of functions, their parameters, global state, unsafe.

use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, FnArg, GenericArgument, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemStatic, PathArguments, Signature, TraitItemFn,
    Type,
};

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
        if typed.iter().any(|t| is_bool(t)) {
            self.say(format!("fn {name} takes a bool: give it two names, or an enum"));
        }
    }
}

pub(super) fn is_test_only(attributes: &[Attribute]) -> bool {
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

/// The sources of the house; the load generator of the benchmark and the fuzz targets are workspaces of their own.
fn house() -> Vec<(std::path::PathBuf, String)> {
    let strange = |path: &Path| path.starts_with("tests/bench/tool") || path.starts_with("tests/fuzz");
    rust().into_iter().filter(|(path, _)| !strange(path)).collect()
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

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.sig, item.default.as_ref().map_or(1, |block| body_lines(&item.sig, block)));
        visit::visit_trait_item_fn(self, item);
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
        if item.path.segments.last().is_some_and(|last| last.ident == "thread_local" || last.ident == "lazy_static") {
            self.say("global state by macro".to_owned());
        }
    }
}

/// `bool`, `&bool`, `Option<bool>`, whatever stands around it.
fn is_bool(of: &Type) -> bool {
    match of {
        Type::Reference(reference) => is_bool(&reference.elem),
        Type::Paren(inner) => is_bool(&inner.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| match &last.arguments {
            PathArguments::AngleBracketed(inside) if last.ident == "Option" => {
                inside.args.iter().any(|argument| matches!(argument, GenericArgument::Type(inner) if is_bool(inner)))
            }
            _ => last.ident == "bool",
        }),
        _ => false,
    }
}

fn body_lines(signature: &Signature, block: &syn::Block) -> usize {
    block.brace_token.span.close().end().line - signature.fn_token.span.start().line + 1
}

/// Whether a type, or one that it is made of, can change behind a shared reference.
fn mutable_inside(of: &Type) -> bool {
    #[derive(Default)]
    struct Names(bool);
    impl<'ast> Visit<'ast> for Names {
        fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
            const CHANGE: [&str; 12] = [
                "Mutex",
                "RwLock",
                "OnceLock",
                "LazyLock",
                "OnceCell",
                "LazyCell",
                "Cell",
                "RefCell",
                "UnsafeCell",
                "Lazy",
                "ArcSwap",
                "DashMap",
            ];
            let name = segment.ident.to_string();
            self.0 |= name.starts_with("Atomic") || CHANGE.contains(&name.as_str());
            visit::visit_path_segment(self, segment);
        }
    }
    let mut names = Names::default();
    names.visit_type(of);
    names.0
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
    let trait_of =
        "//! x\ntrait T {\n    fn a(&self, a: &bool);\n    fn b(&self, a: Option<bool>) {}\n    fn c(&self, a: Option<u8>);\n}\n";
    assert_eq!(read(Path::new("x.rs"), trait_of).len(), 2);
    let hidden =
        "//! x\nstatic A: &[Option<std::sync::Mutex<u8>>] = &[];\nstd::thread_local!(static B: u8 = 1);\nstatic C: &str = \"\";\n";
    assert_eq!(read(Path::new("x.rs"), hidden).len(), 2);
    let long = format!("//! x\nfn h() {{\n{}}}\n", "let _ = 1;\n".repeat(61));
    assert_eq!(read(Path::new("x.rs"), bad).len(), 3);
    assert_eq!(read(Path::new("x.rs"), &long).len(), 1);
}
