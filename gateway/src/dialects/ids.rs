//! Ids of tool calls that one vendor's model made, in the letters that another's API takes.
//!
//! Apart because a call and its result must get the same one, in each request anew: what is made of an id depends on the id alone. Clients
//! never see it. It must not know who made an id.

use std::borrow::Cow;

/// Letters, digits, `_` and `-`: an id that has others gets a sum of itself in their place, so that no two become one.
pub(crate) fn plain(id: &str) -> Cow<'_, str> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !id.is_empty() && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let fitted: String = id.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
    Cow::Owned(format!("{fitted}_{}", sum(id, 8)))
}

/// Nine letters and digits: an id of another form becomes a sum of itself.
pub(crate) fn nine(id: &str) -> Cow<'_, str> {
    let fits = id.len() == 9 && id.bytes().all(|letter| letter.is_ascii_alphanumeric());
    if fits { Cow::Borrowed(id) } else { Cow::Owned(sum(id, 9)) }
}

fn sum(id: &str, letters: usize) -> String {
    let mut sum = blake3::hash(id.as_bytes()).to_hex().to_string();
    sum.truncate(letters);
    sum
}

#[cfg(test)]
mod tests {
    use super::{nine, plain};

    #[test]
    fn an_id_is_changed_only_where_it_must_be_and_always_alike() {
        for good in ["call_a-1", "toolu_01", "aB3xK9mP2"] {
            assert_eq!(plain(good), good);
        }
        assert!(plain("functions.f:0").starts_with("functions_f_0_") && plain("functions.f:0") == plain("functions.f:0"));
        assert_ne!(plain("functions.f:0"), plain("functions.f.0"));
        assert!(plain("").len() > 1);
        assert_eq!(nine("aB3xK9mP2"), "aB3xK9mP2");
        for odd in ["call_aB3x", "call_0123456789", "", "aB3xK9mPé"] {
            let made = nine(odd);
            assert!(made.len() == 9 && made.bytes().all(|letter| letter.is_ascii_alphanumeric()), "{odd}: {made}");
            assert_eq!(made, nine(odd));
        }
        assert_ne!(nine("call_1"), nine("call_2"));
    }
}
