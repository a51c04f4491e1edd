//! That the scan finds in any text what the plain one finds that looks everywhere, over many random texts.
//!
//! It is apart because it says nothing of what should be found. The texts are made of pieces that the scan treats in a special way:
//! terms cut, spelled out and drawn out, letters that repeat or look alike, signs, digits, wide gaps, characters that are nothing,
//! and scripts without gaps between words. What is judged by blocks of bytes is tried at each place of a block.

mod reference;

use topic_deny::scan::{Reach, scan};
use topic_deny::terms::Terms;

/// Numbers that are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % most as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Split at `|`.
const TERMS: &str = "project nightingale|acquisition of globex*|kompromat|bomb|*bomb*|*ill|kill*|ham|lot|loot|a b|aaa|a|r2d2|*2|\
    il li|*lil|as s*|o|*kk|бомба|爆弾|*弾|oo*|tcas|c3po x";
const WORDS: [&str; 24] = [
    "the", "a", "I", "and", "problem", "quick", "Illegal", "pail", "book", "champion", "aardvark", "0", "100", "3.14", "k8s", "x",
    "b", "t", "project", "all", "AI", "kIl", "llama", "zoo",
];
const GAPS: [&str; 20] =
    [" ", " ", " ", " ", " ", "", "", ", ", ". ", "-", "\n", "\n\n", "  ", "     ", "\t", "_", " - ", "...", "'", "\u{a0}"];
const ODD: [&str; 40] = [
    "@", "$", "!", "|", "+", "(", "<", "0", "1", "2", "3", "5", "8", "9", "I", "l", "\u{200b}", "\u{301}", "\u{ad}", "é", "ö", "о",
    "н", "ﬁ", "㎏", "㏂", "๐", "๐", "爆", "弾", "の", "“", "’", "—", "ｂ", "🅱", "𝓸", "²", "ß", "ñ",
];

/// A term as somebody might write it.
fn spelled(dice: &mut Dice, term: &str) -> String {
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

fn text(dice: &mut Dice, terms: &[&str]) -> String {
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

fn assert_same(list: &[&str], terms: &Terms, text: &str, sent: usize) {
    for reach in [Reach::Whole, Reach::Cut] {
        let plainly = reference::scan(terms, text, sent, reach);
        assert_eq!(scan(terms, text, sent, reach), plainly, "{list:?} in {text:?}, {sent} sent, {reach:?}");
    }
}

#[test]
fn nothing_is_left_out_that_matters() {
    let all: Vec<&str> = TERMS.split('|').collect();
    let rounds = std::env::var("TOPIC_DENY_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(3_000);
    let mut dice = Dice(std::env::var("TOPIC_DENY_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1));
    for _ in 0..rounds {
        let list: Vec<&str> = (0..=dice.below(3)).map(|_| dice.one(&all)).collect();
        let terms = Terms::new(&list).unwrap();
        for _ in 0..8 {
            let text = text(&mut dice, &list);
            for sent in [0, text.len(), dice.below(text.len() + 1)] {
                assert_same(&list, &terms, &text, sent);
            }
        }
    }
}

/// Few letters, so that all of them repeat, merge and stand beside each other in every order.
#[test]
fn short_texts_of_few_characters_are_the_same() {
    let few = ["o", "o", "k", "a", "i", "I", "l", "@", "!", "1", "0", " ", " ", "-", "๐", "é", "\u{200b}", "弾", "\n", "㏂"];
    let mut dice = Dice(2);
    for list in [vec!["ok"], vec!["kol"], vec!["*ok", "ail"], vec!["o", "kk"], vec!["lil", "ill*"], vec!["a o", "oak"], vec!["k*"]]
    {
        let terms = Terms::new(&list).unwrap();
        for _ in 0..10_000 {
            let text: String = (0..dice.below(14)).map(|_| dice.one(&few)).collect();
            assert_same(&list, &terms, &text, dice.below(text.len() + 1));
        }
    }
}

/// Long enough that spent tokens are thrown away and that no beginning is near to cut from.
#[test]
fn long_texts_are_the_same() {
    let all: Vec<&str> = TERMS.split('|').collect();
    let mut dice = Dice(3);
    for round in 0..60 {
        let list = [all[round % all.len()], dice.one(&all)];
        let terms = Terms::new(&list).unwrap();
        let words = dice.one(&[
            "of cabbages and kings ",
            "ahoy",
            "Ø",
            "a-b ",
            "zzz.......",
            "爆発物の弾",
            "oo๐",
            "kilobyte 1024, ",
            "o o ",
        ]);
        let text = words.repeat(dice.below(2_000)) + &spelled(&mut dice, list[0]) + &words.repeat(dice.below(400));
        assert_same(&list, &terms, &text, dice.below(text.len() + 1));
    }
}

/// Beginnings, and what only looks like one, at each place of a block and beside each of its ends, in texts of more and fewer blocks.
#[test]
fn every_place_of_a_block_is_the_same() {
    let pieces = ["bomb", "b", "bo", "é", "é bomb", "bombé", "Iil", "a  b", "0k", "b\u{200b}omb", "bx ok"];
    let after = ["", " ", "s of it", " and whatever may stand here, so that more than one whole block of bytes follows the piece"];
    for list in [&["bomb"][..], &["*bomb*"], &["ok", "lil"], &["a b", "*o"]] {
        let terms = Terms::new(list).unwrap();
        for before in ["x", "of cabbages ", "b", "é "] {
            let before = before.repeat(150);
            for (at, _) in before.char_indices().take_while(|(at, _)| *at <= 140) {
                for (piece, after) in pieces.iter().flat_map(|piece| after.iter().map(move |after| (piece, after))) {
                    assert_same(list, &terms, &format!("{}{piece}{after}", &before[..at]), 0);
                }
            }
        }
    }
}

/// The first two characters tell of most places that no term begins there: all pairs, at the edge of a word and inside one.
#[test]
fn any_two_characters_are_the_same() {
    let lists = ["ok", "lil", "*lil", "il*", "a b", "r2d2", "*2", "o", "bé", "бомба", "ail|ml", "s1|11", "ton|*cat|gq"];
    for list in lists {
        let list: Vec<&str> = list.split('|').collect();
        let terms = Terms::new(&list).unwrap();
        for (first, second) in ('\0'..='\x7f').flat_map(|first| ('\0'..='\x7f').map(move |second| (first, second))) {
            for text in [format!("{first}{second}"), format!("x {first}{second}l "), format!("x{first}{second}")] {
                assert_same(&list, &terms, &text, 0);
            }
        }
    }
}
