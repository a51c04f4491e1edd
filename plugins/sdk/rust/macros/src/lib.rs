//! `#[gatewright_plugin::filter]`: makes a filter of one function.
//!
//! It reads no more of the function than its name and its first parameter, and writes one call of `gatewright_plugin`'s own macro. It
//! is apart because attributes live in crates of their own. It must not know the contract.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Makes the crate a filter that asks this function about each event. See `gatewright_plugin::filter`.
#[proc_macro_attribute]
pub fn filter(attribute: TokenStream, function: TokenStream) -> TokenStream {
    let written = read(&function).and_then(|found| Ok(call(&found, prefilter(attribute)?)));
    let added: TokenStream = match written {
        Ok(call) => call.parse().unwrap_or_default(),
        Err(told) => format!("::core::compile_error!({told:?});").parse().unwrap_or_default(),
    };
    [function, added].into_iter().collect()
}

/// A function: its name, and the type behind its first parameter's `&` where it has three.
struct Function {
    name: String,
    state: Option<String>,
}

fn call(function: &Function, prefilter: Option<String>) -> String {
    let Function { name, state } = function;
    match (state, prefilter) {
        (None, None) => format!("::gatewright_plugin::__filter!({name});"),
        (Some(state), None) => format!("::gatewright_plugin::__filter!({name}, {state});"),
        (Some(state), Some(prefilter)) => format!("::gatewright_plugin::__filter!({name}, {state}, {prefilter});"),
        (None, Some(prefilter)) => format!("::gatewright_plugin::__filter!({name}, (), {prefilter});"),
    }
}

/// `prefilter = path`, or nothing.
fn prefilter(attribute: TokenStream) -> Result<Option<String>, String> {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    match tokens.as_slice() {
        [] => Ok(None),
        [TokenTree::Ident(key), TokenTree::Punct(is), path @ ..] if key.to_string() == "prefilter" && is.as_char() == '=' => {
            Ok(Some(path.iter().cloned().collect::<TokenStream>().to_string()))
        }
        _ => Err("expected `#[filter]` or `#[filter(prefilter = function)]`".to_owned()),
    }
}

fn read(function: &TokenStream) -> Result<Function, String> {
    let mut tokens = function.clone().into_iter();
    let told = || "`#[filter]` stands on a function: `fn inspect(context: &Context, event: &Event) -> Vec<Action>`".to_owned();
    tokens.by_ref().find(|token| is_word(token, "fn")).ok_or_else(told)?;
    let name = tokens.next().ok_or_else(told)?.to_string();
    match tokens.next() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            let parameters = parameters(&group);
            match parameters.as_slice() {
                [_, _] => Ok(Function { name, state: None }),
                [state, _, _] => Ok(Function { name, state: Some(behind(state).ok_or_else(told)?) }),
                _ => Err("a filter takes `&Context` and `&Event`, and before them a reference to its state if it has any".to_owned()),
            }
        }
        _ => Err("a filter has no parameters of types or lifetimes".to_owned()),
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

/// The parameters' tokens: between commas that stand in no angle brackets.
fn parameters(group: &Group) -> Vec<Vec<TokenTree>> {
    let (mut all, mut depth) = (vec![Vec::new()], 0_i32);
    for token in group.stream() {
        if let TokenTree::Punct(sign) = &token {
            match sign.as_char() {
                '<' => depth += 1,
                '>' => depth -= 1,
                ',' if depth == 0 => {
                    all.push(Vec::new());
                    continue;
                }
                _ => {}
            }
        }
        if let Some(last) = all.last_mut() {
            last.push(token);
        }
    }
    all.retain(|parameter| !parameter.is_empty());
    all
}

/// The type of a parameter `name: &Type`.
fn behind(parameter: &[TokenTree]) -> Option<String> {
    let colon = parameter.iter().position(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ':'))?;
    match parameter.get(colon + 1..)? {
        [TokenTree::Punct(sign), rest @ ..] if sign.as_char() == '&' && !rest.is_empty() => {
            Some(rest.iter().cloned().collect::<TokenStream>().to_string())
        }
        _ => None,
    }
}
