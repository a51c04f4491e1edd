//! Extism takes core modules: the linker that makes components is told to leave this one as it is.
//!
//! Apart because only this guest needs it. It must not know the code.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=--skip-wit-component");
}
