//! Which letters a character may stand for.
//!
//! `folds.txt` says it for characters that stand for one thing: compatibility forms and accents (Unicode's NFKD, marks dropped),
//! look-alikes of Latin letters (Unicode TS #39, confusables), and letters whose Unicode name says that they are a Latin letter with
//! a stroke, hook, circle or square. Each entry is a character and what it stands for, in code point order. What may stand for several
//! letters (leetspeak, `н` for h or n) is said here by hand. Apart because it changes with Unicode. It must not know terms, words or gaps.

use crate::block::Set;

/// Up to three letters that a character may stand for; the first is its own. `\0` fills up.
pub type Letters = [char; 3];

/// What a character is to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A letter of some script.
    Letter,
    /// A digit, which may stand for letters.
    Digit,
    /// A sign that may stand for a letter, or be a mere separator.
    Sign,
}

const SOURCE: &str = include_str!("folds.txt");
const COUNT: usize = count(SOURCE.as_bytes());
static FOLDS: [(u32, u32); COUNT] = read(SOURCE.as_bytes());
/// What an entry says may have an entry too (`ό` is `ο`, which is `o`), and a capital may have that of its small letter.
const MOST_FOLDS: usize = 4;
/// Marks an entry whose value is up to three ASCII letters, packed.
const PACKED: u32 = 1 << 31;

/// Whether a character is nothing at all: accents that stand alone, zero-width and formatting characters, variation selectors.
#[inline(always)]
pub fn is_nothing(c: char) -> bool {
    let cp = c as u32;
    cp >= 0xAD
        && matches!(cp,
            0xAD | 0x34F | 0x61C | 0x640 | 0x70F | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x3164 | 0xFEFF | 0xFFA0
            | 0x300..=0x36F | 0x483..=0x489 | 0x591..=0x5BD | 0x610..=0x61A | 0x64B..=0x65F | 0x670
            | 0x180B..=0x180F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x200B..=0x200F | 0x202A..=0x202E
            | 0x2060..=0x206F | 0x20D0..=0x20F0 | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether words of this character's script are written without gaps between them.
pub fn is_unspaced(c: char) -> bool {
    matches!(c as u32, 0xE00..=0xEFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0x9FFF | 0xF900..=0xFAFF
        | 0x20000..=0x3FFFF)
}

/// Gives the letters that a character stands for, one by one; nothing for what is neither letter, digit nor sign.
pub fn fold(c: char, mut give: impl FnMut(Letters, Kind)) {
    if c.is_ascii() {
        if let Some((letters, kind)) = ascii(c) {
            give(letters, kind);
        }
        return;
    }
    let mut at_last = c;
    for _ in 0..MOST_FOLDS {
        if let Some(letters) = ambiguous(at_last) {
            return give(letters, Kind::Letter);
        }
        match lookup(at_last) {
            Some(value) if value & PACKED != 0 => return spell(value, give),
            Some(value) => at_last = char::from_u32(value).unwrap_or(at_last),
            None => match at_last.to_lowercase().next() {
                Some(small) if small != at_last && small as u32 >= 0x80 => at_last = small,
                _ => break,
            },
        }
    }
    if at_last.is_alphabetic() {
        at_last.to_lowercase().filter(|&it| !is_nothing(it)).for_each(|it| give([it, '\0', '\0'], Kind::Letter));
    } else if at_last.is_numeric() {
        give([at_last, '\0', '\0'], Kind::Digit);
    } else if let Some((letters, kind)) = sign(at_last) {
        give(letters, kind);
    }
}

/// Up to three ASCII letters, packed.
fn spell(value: u32, mut give: impl FnMut(Letters, Kind)) {
    for shift in [0, 8, 16] {
        let byte = (value >> shift) as u8 & 0x7F;
        if byte != 0
            && let Some((letters, kind)) = ascii(byte as char)
        {
            give(letters, kind);
        }
    }
}

/// Places that letters have which ASCII characters stand for.
pub const PLACES: usize = 10 + 26;
/// The ASCII characters that may stand for a letter, by its place.
pub static WRITTEN: [Set; PLACES] = written();

/// The ASCII letters and digits.
pub const LETTERS_AND_DIGITS: Set = letters_and_digits();

/// The place of a letter that ASCII characters stand for: of a digit, or of a small letter of ASCII.
#[inline]
pub const fn place(letter: char) -> Option<usize> {
    match letter {
        '0'..='9' => Some(letter as usize - '0' as usize),
        'a'..='z' => Some(letter as usize - 'a' as usize + 10),
        _ => None,
    }
}

const fn written() -> [Set; PLACES] {
    let mut sets = [Set::EMPTY; PLACES];
    let mut byte = 0;
    while byte < 0x80 {
        if let Some((letters, _)) = at_most(byte) {
            let mut at = 0;
            while at < letters.len() {
                if let Some(place) = place(letters[at]) {
                    sets[place] = sets[place].with(byte);
                }
                at += 1;
            }
        }
        byte += 1;
    }
    sets
}

const fn letters_and_digits() -> Set {
    let (mut set, mut byte) = (Set::EMPTY, 0);
    while byte < 0x80_u8 {
        if byte.is_ascii_alphanumeric() {
            set = set.with(byte);
        }
        byte += 1;
    }
    set
}

/// What an ASCII character is at most: an `I` may be an `l`, whatever stands before it.
#[inline]
pub const fn at_most(byte: u8) -> Option<(Letters, Kind)> {
    if byte == b'I' { Some((['i', 'l', '\0'], Kind::Letter)) } else { ascii(byte as char) }
}

/// What an ASCII character stands for, which is one letter, digit or sign at most.
#[inline]
pub const fn ascii(c: char) -> Option<(Letters, Kind)> {
    let digit: Letters = match c {
        'a'..='z' | 'A'..='Z' => return Some(([c.to_ascii_lowercase(), '\0', '\0'], Kind::Letter)),
        '0' => [c, 'o', '\0'],
        '1' => [c, 'i', 'l'],
        '2' => [c, 'z', '\0'],
        '3' => [c, 'e', '\0'],
        '4' => [c, 'a', '\0'],
        '5' => [c, 's', '\0'],
        '6' => [c, 'g', 'b'],
        '7' => [c, 't', '\0'],
        '8' => [c, 'b', '\0'],
        '9' => [c, 'g', 'q'],
        _ => return sign(c),
    };
    Some((digit, Kind::Digit))
}

const fn sign(c: char) -> Option<(Letters, Kind)> {
    let letters: Letters = match c {
        '@' => ['a', '\0', '\0'],
        '$' => ['s', '\0', '\0'],
        '!' | '|' | '\u{a1}' | '\u{a6}' => ['i', 'l', '\0'],
        '+' | '\u{2020}' => ['t', '\0', '\0'],
        '(' | '<' | '\u{a2}' => ['c', '\0', '\0'],
        '\u{20ac}' => ['e', '\0', '\0'],
        '\u{a3}' => ['l', '\0', '\0'],
        '\u{a7}' => ['s', '\0', '\0'],
        '\u{a5}' => ['y', '\0', '\0'],
        '\u{b5}' => ['u', 'm', '\0'],
        _ => return None,
    };
    Some((letters, Kind::Sign))
}

/// Letters of other scripts that look like, or are written for, more than one Latin letter. Upper and lower case are one.
#[inline]
fn ambiguous(c: char) -> Option<Letters> {
    Some(match c {
        'η' | 'Η' => ['h', 'n', '\0'],
        'ν' | 'Ν' => ['n', 'v', '\0'],
        'υ' | 'Υ' => ['y', 'u', '\0'],
        'ρ' | 'Ρ' => ['p', 'r', '\0'],
        'μ' | 'Μ' => ['m', 'u', '\0'],
        'ω' | 'Ω' => ['ω', 'w', 'o'],
        'σ' | 'ς' | 'Σ' => ['σ', 's', 'o'],
        'π' | 'Π' => ['π', 'n', 'p'],
        'γ' | 'Γ' => ['γ', 'y', 'g'],
        'λ' | 'Λ' => ['λ', 'l', 'a'],
        'δ' | 'Δ' => ['δ', 'd', 'a'],
        'φ' | 'Φ' => ['φ', 'f', 'o'],
        'в' | 'В' => ['b', 'v', '\0'],
        'н' | 'Н' => ['h', 'n', '\0'],
        'р' | 'Р' => ['p', 'r', '\0'],
        'с' | 'С' => ['c', 's', '\0'],
        'у' | 'У' => ['y', 'u', '\0'],
        'г' | 'Г' => ['г', 'r', 'g'],
        'п' | 'П' => ['п', 'n', 'p'],
        'и' | 'И' | 'й' | 'Й' => ['и', 'n', 'i'],
        'я' | 'Я' => ['я', 'r', '\0'],
        'з' | 'З' => ['з', 'z', 'e'],
        'ш' | 'Ш' => ['ш', 'w', '\0'],
        'ь' | 'Ь' => ['ь', 'b', '\0'],
        'д' | 'Д' => ['д', 'd', '\0'],
        'л' | 'Л' => ['л', 'l', '\0'],
        'ф' | 'Ф' => ['ф', 'f', '\0'],
        'θ' | 'Θ' => ['θ', 'o', '\0'],
        'ҫ' | 'Ҫ' => ['c', 's', '\0'],
        'ғ' | 'Ғ' => ['ғ', 'f', 'g'],
        'ћ' | 'Ћ' => ['ћ', 'h', '\0'],
        'ђ' | 'Ђ' => ['ђ', 'h', '\0'],
        'ң' | 'Ң' | 'ҥ' | 'Ҥ' | 'ӈ' | 'Ӈ' | 'ӊ' | 'Ӊ' => ['h', 'n', '\0'],
        'є' | 'Є' => ['є', 'e', '\0'],
        'ә' | 'Ә' => ['ә', 'e', 'a'],
        'э' | 'Э' => ['э', 'e', '\0'],
        _ => return None,
    })
}

/// The mathematical alphabets are thirteen times A to Z and a to z; all else is in the table.
fn lookup(c: char) -> Option<u32> {
    let cp = c as u32;
    match cp {
        0x1D400..=0x1D6A3 => Some(PACKED | ('a' as u32 + (cp - 0x1D400) % 26)),
        0x1D7CE..=0x1D7FF => Some(PACKED | ('0' as u32 + (cp - 0x1D7CE) % 10)),
        _ => FOLDS.binary_search_by_key(&cp, |entry| entry.0).ok().map(|at| FOLDS[at].1),
    }
}

const fn count(source: &[u8]) -> usize {
    let (mut at, mut entries) = (0, 0);
    while at < source.len() {
        if source[at] == b' ' || source[at] == b'\n' {
            entries += 1;
        }
        at += 1;
    }
    entries
}

/// Reads the table while compiling. A value of several characters must be ASCII.
const fn read<const N: usize>(source: &[u8]) -> [(u32, u32); N] {
    let mut table = [(0, 0); N];
    let (mut at, mut entry) = (0, 0);
    while entry < N {
        let (from, after) = decode(source, at);
        let (mut value, mut next) = decode(source, after);
        if value < 0x80 {
            value |= PACKED;
            let mut shift = 8;
            while source[next] != b' ' && source[next] != b'\n' {
                value |= (source[next] as u32) << shift;
                shift += 8;
                next += 1;
            }
        }
        table[entry] = (from, value);
        entry += 1;
        at = next + 1;
    }
    table
}

/// The character at a byte, and where the next begins.
const fn decode(source: &[u8], at: usize) -> (u32, usize) {
    let first = source[at] as u32;
    let (mut cp, more) = match first {
        0..=0x7F => return (first, at + 1),
        0xC0..=0xDF => (first & 0x1F, 1),
        0xE0..=0xEF => (first & 0x0F, 2),
        _ => (first & 0x07, 3),
    };
    let mut k = 1;
    while k <= more {
        cp = cp << 6 | (source[at + k] as u32 & 0x3F);
        k += 1;
    }
    (cp, at + more + 1)
}

#[cfg(test)]
mod tests {
    use super::{Kind, fold};

    fn first(c: char) -> String {
        let mut letters = String::new();
        fold(c, |options, _| letters.push(options[0]));
        letters
    }

    #[test]
    fn what_is_folded_is_folded_again() {
        for (written, letters) in [("ёЁїЇόΌάΆέΈίΊὀὈῒᾏ", "eeiiooaaeeiiooia"), ("ӧӪөѳҚғΘ", "ooookғθ"), ("ΎϓήΉѓйЀ", "yyhhгиe")]
        {
            assert_eq!(written.chars().map(first).collect::<String>(), letters, "{written}");
        }
        assert_eq!(["ﬁ", "ß", "Œ", "ӕ"].map(|it| first(it.chars().next().unwrap())), ["fi", "ss", "oe", "ae"]);
    }

    /// Nothing is left that an entry of the table would fold once more, and letters stay letters.
    #[test]
    fn every_letter_is_folded_to_its_end() {
        for c in ('\u{80}'..='\u{1FFFF}').filter(|it| it.is_alphabetic()) {
            fold(c, |options, kind| {
                let own = options[0];
                let mut again = Vec::new();
                fold(own, |options, _| again.push(options[0]));
                assert!(again == [own] || kind != Kind::Letter, "{c} is {own}, which is {again:?}");
            });
        }
    }
}
