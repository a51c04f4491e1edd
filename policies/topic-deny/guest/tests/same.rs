//! That the scan finds in any text what the plain one finds that looks everywhere, over many random texts.
//!
//! It is apart because it says nothing of what should be found. The texts are made of pieces that the scan treats in a special way:
//! terms cut, spelled out and drawn out, letters that repeat or look alike, signs, digits, wide gaps, characters that are nothing,
//! and scripts without gaps between words. What is judged by blocks of bytes is tried at each place of a block.

mod reference;
mod texts;

use texts::{Dice, TERMS, spelled, text};
use topic_deny::scan::{Reach, scan};
use topic_deny::terms::Terms;

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
