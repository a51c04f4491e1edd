//! What can be told of an expression before any request comes: names that nobody knows, functions that are not there, loops in loops.
//!
//! Apart because it walks a syntax tree. It must not evaluate.

use cel::IdedExpr;
use cel::ParseError;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, SourceInfo};

use super::Mistake;
use super::seen::{NAMES, OF_REQUEST};
use crate::config::nearest;

/// Functions that may be called, besides operators.
const FUNCTIONS: [&str; 11] =
    ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool", "type", "dyn"];

/// A text that is no expression.
pub(super) fn unread(error: &ParseError) -> Mistake {
    let place = |number: isize| usize::try_from(number).ok().filter(|number| *number > 0);
    let at = place(error.pos.0).zip(place(error.pos.1));
    Mistake { at, message: format!("this is not an expression of CEL: {}", error.msg.replace(['\n', '\r'], " ")), hint: None }
}

/// All mistakes of an expression.
pub(super) fn mistakes(expression: &IdedExpr, source: &SourceInfo) -> Vec<Mistake> {
    let mut check = Check { source, bound: Vec::new(), loops: 0, mistakes: Vec::new() };
    check.walk(expression);
    check.mistakes
}

/// Whether it names the headers of a request.
pub(super) fn names_headers(expression: &IdedExpr) -> bool {
    let mut found = false;
    visit(expression, &mut |expression| {
        if let Expr::Select(select) = &expression.expr {
            found |= select.field == "headers" && is_request(&select.operand);
        }
    });
    found
}

/// Whether an expression nests deeper than so many levels.
pub(super) fn is_deeper(expression: &IdedExpr, levels: usize) -> bool {
    levels == 0 || parts(expression).into_iter().any(|part| is_deeper(part, levels - 1))
}

fn is_request(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "request")
}

/// Shows every part of an expression.
fn visit(expression: &IdedExpr, see: &mut impl FnMut(&IdedExpr)) {
    see(expression);
    parts(expression).into_iter().for_each(|part| visit(part, see));
}

/// The parts that an expression is made of.
fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Comprehension(all) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &**all;
            vec![iter_range, accu_init, loop_cond, loop_step, result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(all) => all.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

struct Check<'a> {
    source: &'a SourceInfo,
    /// Names that loops bind.
    bound: Vec<&'a str>,
    loops: usize,
    mistakes: Vec<Mistake>,
}

impl<'a> Check<'a> {
    fn walk(&mut self, expression: &'a IdedExpr) {
        match &expression.expr {
            Expr::Select(select) if is_request(&select.operand) => self.of_request(expression, &select.field),
            Expr::Ident(name) => self.name(expression, name),
            Expr::Comprehension(all) => return self.comprehension(expression, all),
            Expr::Call(call) => self.call(expression, &call.func_name),
            Expr::Struct(_) => self.complain(expression, "there are no types to make values of", None),
            _ => {}
        }
        let inner = parts(expression);
        inner.into_iter().filter(|part| !is_request(part)).for_each(|part| self.walk(part));
        if let Expr::Call(call) = &expression.expr
            && let Some(bare) = call.target.as_deref().into_iter().chain(&call.args).find(|part| is_request(part))
        {
            self.of_request(bare, "");
        }
    }

    fn of_request(&mut self, at: &IdedExpr, field: &str) {
        if !OF_REQUEST.contains(&field) {
            let message =
                if field.is_empty() { "`request` alone is nothing".to_owned() } else { format!("a request has no `{field}`") };
            let known = format!("there are: request.{}", OF_REQUEST.join(", request."));
            let hint = nearest(field, OF_REQUEST).filter(|hint| hint.starts_with("did")).unwrap_or(known);
            self.complain(at, message, Some(hint));
        }
    }

    fn name(&mut self, at: &IdedExpr, name: &str) {
        if name == "request" {
            self.of_request(at, "");
        } else if !name.starts_with('@') && !NAMES.contains(&name) && !self.bound.contains(&name) {
            self.complain(at, format!("nothing is named `{name}`"), nearest(name, NAMES.into_iter().chain(["request"])));
        }
    }

    fn call(&mut self, at: &IdedExpr, name: &str) {
        let operator = !name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !operator && !FUNCTIONS.contains(&name) {
            self.complain(at, format!("there is no function `{name}`"), nearest(name, FUNCTIONS));
        }
    }

    fn comprehension(&mut self, at: &IdedExpr, all: &'a ComprehensionExpr) {
        self.walk(&all.iter_range);
        self.walk(&all.accu_init);
        if self.loops > 0 {
            self.complain(at, "a loop within a loop could take long", None);
        }
        let bound = self.bound.len();
        self.bound.extend([all.iter_var.as_str(), all.accu_var.as_str()]);
        self.bound.extend(all.iter_var2.as_deref());
        self.loops += 1;
        [&all.loop_cond, &all.loop_step, &all.result].into_iter().for_each(|part| self.walk(part));
        self.loops -= 1;
        self.bound.truncate(bound);
    }

    fn complain(&mut self, at: &IdedExpr, message: impl Into<String>, hint: Option<String>) {
        let at = self.source.offset_for(at.id).map(|(start, _)| place(&self.source.source, start as usize));
        self.mistakes.push(Mistake { at, message: message.into(), hint });
    }
}

/// Line and column of an offset, in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before: Vec<char> = text.chars().take(offset).collect();
    let line = before.iter().filter(|c| **c == '\n').count() + 1;
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    (line, column)
}
