//! Random texts of pieces that the scan treats in a special way: terms cut, spelled out and drawn out, letters that repeat or look
//! alike, signs, digits, wide gaps, characters that are nothing, and scripts without gaps between words.
//!
//! They are apart because more than one test is about any text. They must not know what should be found.
#![allow(dead_code, reason = "not every test needs all")]

/// Numbers that are the same in each run (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    /// A number below this one.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % most as u64) as usize
    }

    /// One of these.
    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Split at `|`.
pub const TERMS: &str = "project nightingale|acquisition of globex*|kompromat|bomb|*bomb*|*ill|kill*|ham|lot|loot|a b|aaa|a|r2d2|*2|\
    il li|*lil|as s*|o|*kk|бомба|爆弾|*弾|oo*|tcas|c3po x";
const WORDS: [&str; 24] = [
    "the", "a", "I", "and", "problem", "quick", "Illegal", "pail", "book", "champion", "aardvark", "0", "100", "3.14", "k8s", "x",
    "b", "t", "project", "all", "AI", "kIl", "llama", "zoo",
];
const GAPS: [&str; 20] =
    [" ", " ", " ", " ", " ", "", "", ", ", ". ", "-", "\n", "\n\n", "  ", "     ", "\t", "_", " - ", "...", "'", "\u{a0}"];
const ODD: [&str; 46] = [
    "ό", "ё", "Ή", "қ", "θ", "\u{8}", "@", "$", "!", "|", "+", "(", "<", "0", "1", "2", "3", "5", "8", "9", "I", "l", "\u{200b}",
    "\u{301}", "\u{ad}", "é", "ö", "о", "н", "ﬁ", "㎏", "㏂", "๐", "๐", "爆", "弾", "の", "“", "’", "—", "ｂ", "🅱", "𝓸", "²", "ß",
    "ñ",
];

/// A term as somebody might write it.
pub fn spelled(dice: &mut Dice, term: &str) -> String {
    let mut text = String::new();
    let (gap, often) = (dice.one(&GAPS), dice.below(4));
    for c in term.chars().filter(|&it| it != '*') {
        match dice.below(16) {
            0 => continue,
            1 => text.push_str(dice.one(&ODD)),
            2 => text.extend(std::iter::repeat_n(c, 2 + dice.below(3))),
            3 => text.extend(c.to_uppercase()),
            4 if c == 'a' => text.push('@'),
            4 if c == 'o' => text.push('0'),
            4 if c == 'i' || c == 'l' => text.push_str(dice.one(&["1", "!", "I", "|"])),
            _ => text.push(c),
        }
        match often {
            0 => text.push_str(gap),
            1 if dice.below(4) == 0 => text.push_str(dice.one(&GAPS)),
            _ => {}
        }
    }
    text
}

/// A text of words, terms as somebody might write them, and oddities.
pub fn text(dice: &mut Dice, terms: &[&str]) -> String {
    let mut text = String::new();
    let all: Vec<&str> = TERMS.split('|').collect();
    let (pieces, odd) = (1 + dice.below(40), dice.below(3));
    for _ in 0..pieces {
        match dice.below(12) {
            kind @ (0 | 1) => {
                let term = dice.one(if kind == 0 { terms } else { &all });
                text.push_str(&spelled(dice, term));
            }
            2 => text.extend(std::iter::repeat_n(dice.one(&["l", "o", "a", "I", "1", "k", " ", "\n", "@"]), 1 + dice.below(9))),
            3 | 4 if odd > 0 => (0..=dice.below(3 * odd)).for_each(|_| text.push_str(dice.one(&ODD))),
            5 => text.push_str(dice.one(&["a", "b", "k", "l", "o", "i", "s", "A", "K"])),
            _ => text.push_str(dice.one(&WORDS)),
        }
        text.push_str(dice.one(&GAPS));
    }
    if dice.below(2) == 0 {
        text.truncate(text.floor_char_boundary(dice.below(text.len() + 1)));
    }
    text
}

/// A text as JSON has it on the wire; more is escaped than must be, here and there.
pub fn json(dice: &mut Dice, text: &str) -> String {
    let mut out = String::new();
    let often = 2 + dice.below(30);
    for c in text.chars() {
        match c {
            '"' => out.push_str(r#"\""#),
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\t' if dice.below(2) == 0 => out.push_str(r"\t"),
            '/' if dice.below(2) == 0 => out.push_str(r"\/"),
            '\0'..' ' => coded(&mut out, c),
            '<' | '>' | '&' | '\'' | '\u{80}'.. if dice.below(2) == 0 => coded(&mut out, c),
            _ if dice.below(often) == 0 => coded(&mut out, c),
            _ => out.push(c),
        }
    }
    out
}

fn coded(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}
