//! Where a character of a text stands in the YAML that the text was read from.
//!
//! Apart because YAML writes texts in five styles that fold lines and escape characters each in its own way. It must not read YAML: it
//! walks along a text that was read, and where the two do not agree, there is no answer.

use std::iter::Peekable;

use saphyr::ScalarStyle;

use super::Mark;

/// A scalar as it stands in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// From its quote, anchor, tag or, of a block, first letter on; more may follow it.
    pub(super) text: &'a str,
    /// Where that is.
    pub(super) start: Mark,
    pub(super) style: ScalarStyle,
    /// What it reads as.
    pub(super) value: &'a str,
}

impl Source<'_> {
    /// Where the character at this line and column of the value stands, both from 1; what is past its end is its end.
    pub(super) fn place(&self, (line, column): (usize, usize)) -> Option<Mark> {
        let before: usize = self.value.split_inclusive('\n').take(line.checked_sub(1)?).map(|line| line.chars().count()).sum();
        let wanted = before + column.checked_sub(1)?;
        let mut written = Written::of(self)?;
        let mut value = self.value.chars().take(wanted).peekable();
        // A block begins with its first letter, behind lines that are empty.
        while self.is_block() && value.next_if_eq(&'\n').is_some() {}
        while let Some(letter) = value.next() {
            written.read(letter, &mut value)?;
        }
        let ends = written.end().filter(|_| wanted >= self.value.chars().count());
        ends.or_else(|| written.next())
    }

    fn is_block(&self) -> bool {
        matches!(self.style, ScalarStyle::Literal | ScalarStyle::Folded)
    }

    /// As much of the text as the value can have been read from, with the places of its characters.
    fn marked(&self) -> impl Iterator<Item = (char, Mark)> {
        let most = self.value.len().saturating_mul(10) + 4096;
        let mut at = self.start;
        self.text.chars().take(most).map(move |letter| {
            let mark = at;
            at = if letter == '\n' { Mark { line: at.line + 1, column: 1 } } else { Mark { column: at.column + 1, ..at } };
            (letter, mark)
        })
    }
}

/// What is written, character by character: what each reads as, and where it stands.
struct Written {
    letters: Peekable<std::vec::IntoIter<(char, Mark)>>,
    /// The last one that was read.
    last: Option<(char, Mark)>,
    folds: bool,
}

impl Written {
    fn of(source: &Source<'_>) -> Option<Self> {
        let letters = if source.is_block() { block_of(source) } else { flow_of(source)? };
        Some(Self { letters: letters.into_iter().peekable(), last: None, folds: source.style != ScalarStyle::Literal })
    }

    /// Goes past one character of the value.
    fn read(&mut self, letter: char, value: &mut Peekable<impl Iterator<Item = char>>) -> Option<()> {
        self.last = self.letters.next();
        let (written, _) = self.last?;
        match (written, letter) {
            ('\n', ' ') if self.folds => Some(()),
            // Of the ends of several lines, all but the first are such.
            ('\n', '\n') if self.folds => {
                let written = std::iter::from_fn(|| self.letters.next_if(|(letter, _)| *letter == '\n')).count();
                let read = std::iter::from_fn(|| value.next_if_eq(&'\n')).count();
                (read <= written).then_some(())
            }
            (written, letter) => (written == letter).then_some(()),
        }
    }

    /// Where the next one stands.
    fn next(&mut self) -> Option<Mark> {
        self.letters.peek().map(|(_, mark)| *mark)
    }

    /// Behind the last one that was read; the end of a line is its own.
    fn end(&self) -> Option<Mark> {
        let behind = |(letter, mark): (char, Mark)| if letter == '\n' { mark } else { Mark { column: mark.column + 1, ..mark } };
        self.last.map(behind)
    }
}

/// The lines of a block from its first letter on, less what that one is indented by.
fn block_of(source: &Source<'_>) -> Vec<(char, Mark)> {
    let letters = source.marked().filter(|(letter, mark)| match letter {
        '\r' => false,
        '\n' => true,
        _ => mark.column >= source.start.column,
    });
    letters.collect()
}

/// The characters of a plain or quoted scalar: escapes as what they stand for, no blanks around a line's end.
fn flow_of(source: &Source<'_>) -> Option<Vec<(char, Mark)>> {
    let quote = match source.style {
        ScalarStyle::SingleQuoted => Some('\''),
        ScalarStyle::DoubleQuoted => Some('"'),
        _ => None,
    };
    let mut written = source.marked().peekable();
    // Its anchor and its tag stand before it.
    while written.next_if(|(letter, _)| matches!(letter, '&' | '!')).is_some() {
        while written.next_if(|(letter, _)| !letter.is_whitespace()).is_some() {}
        while written.next_if(|(letter, _)| letter.is_whitespace()).is_some() {}
    }
    let mut written = written.skip(usize::from(quote.is_some())).peekable();
    let mut letters: Vec<(char, Mark)> = Vec::new();
    // Blanks that an escape stands for stay at a line's end.
    let mut kept = 0;
    while let Some((letter, mark)) = written.next() {
        match letter {
            '\\' if quote == Some('"') => {
                letters.extend(escaped(&mut written)?.map(|letter| (letter, mark)));
                kept = letters.len();
            }
            '\'' if quote == Some('\'') && written.next_if(|(next, _)| *next == '\'').is_some() => letters.push((letter, mark)),
            letter if Some(letter) == quote => break,
            '\r' => {}
            '\n' => {
                while letters.len() > kept && letters.last().is_some_and(|(last, _)| matches!(last, ' ' | '\t')) {
                    letters.pop();
                }
                while written.next_if(|(next, _)| matches!(next, ' ' | '\t')).is_some() {}
                letters.push((letter, mark));
            }
            letter => letters.push((letter, mark)),
        }
    }
    Some(letters)
}

/// What an escape of a double-quoted scalar stands for, its `\` read already: nothing where it joins lines.
fn escaped(written: &mut Peekable<impl Iterator<Item = (char, Mark)>>) -> Option<Option<char>> {
    let (letter, _) = written.next()?;
    let digits = match letter {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        '\n' => {
            while written.next_if(|(next, _)| matches!(next, ' ' | '\t')).is_some() {}
            return Some(None);
        }
        '0' => return Some(Some('\0')),
        'a' => return Some(Some('\u{7}')),
        'b' => return Some(Some('\u{8}')),
        't' | '\t' => return Some(Some('\t')),
        'n' => return Some(Some('\n')),
        'v' => return Some(Some('\u{b}')),
        'f' => return Some(Some('\u{c}')),
        'r' => return Some(Some('\r')),
        'e' => return Some(Some('\u{1b}')),
        'N' => return Some(Some('\u{85}')),
        '_' => return Some(Some('\u{a0}')),
        'L' => return Some(Some('\u{2028}')),
        'P' => return Some(Some('\u{2029}')),
        other => return Some(Some(other)),
    };
    let code = written.by_ref().take(digits).map(|(letter, _)| letter).collect::<String>();
    Some(char::from_u32(u32::from_str_radix(&code, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::Mark;

    /// What stands at a place of a text.
    fn at(text: &str, mark: Mark) -> &str {
        let line = text.lines().nth(mark.line - 1).unwrap();
        &line[line.char_indices().nth(mark.column - 1).map_or(line.len(), |(at, _)| at)..]
    }

    #[test]
    fn a_place_in_a_text_is_a_place_in_its_file_in_every_style() {
        for text in [
            "k: [a, {when: one && TWO && three, x: y}]",
            "k: [a, {when: 'it''s é && TWO && three'}]",
            r#"k: [a, {when: "a \"b\" \u00e9\t&& TWO && three"}]"#,
            "k:\n- a\n- when: one\n    && TWO\n    && three\n",
            "k:\n- a\n- when: \"one  \n\n\n    && TWO\n    && three\"\n",
            "k:\n- a\n- when: 'one\n\n    && TWO'\n",
            "k:\n- a\n- when: \"one \\\n    && TWO && three\"\n",
            "k:\n- a\n- when: |\n    one\n\n      && TWO\n    && three\n",
            "k:\n- a\n- when: |2-\n\n      one\n    && TWO\n",
            "k:\n- a\n- when: >-\n    one\n    && three\n      more\n\n\n    && TWO\n\n  # c\n",
            "k: [a, {when: &x !!str 'one && TWO'}]",
            "k:\r\n- a\r\n- when: >\r\n    one\r\n    && TWO\r\n",
        ] {
            let document = read(text).unwrap();
            let value = document.value["k"][1]["when"].as_str().unwrap();
            let (before, _) = value.split_once("TWO").unwrap();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            let mark = document.mark_in("/k/1/when", (line, column)).unwrap_or_else(|| panic!("{text}"));
            assert!(at(text, mark).starts_with("TWO"), "{text}\n{mark:?}");
            assert!(document.mark_in("/k/1/when", (99, 1)).is_some(), "{text}");
        }
        let text = "k: {when: a +, x: y}\nl: {when: 'a +' }\nm: *n\n";
        let document = read(&text.replace("*n", "b")).unwrap();
        let ends = ["/k/when", "/l/when"].map(|pointer| at(text, document.mark_in(pointer, (1, 4)).unwrap()));
        assert_eq!(ends, [", x: y}", "' }"]);
    }

    #[test]
    fn where_the_two_do_not_agree_there_is_no_place() {
        let document = read("a: &x one two\nb: *x\nc: 5\n").unwrap();
        assert!(document.mark_in("/a", (1, 5)).is_some());
        for pointer in ["/b", "/c", "/d"] {
            assert_eq!(document.mark_in(pointer, (1, 2)), None, "{pointer}");
        }
    }
}
