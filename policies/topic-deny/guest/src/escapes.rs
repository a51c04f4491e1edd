//! Reads what is written as an escape in a text that is JSON as it is on the wire.
//!
//! It is apart because it is the only place that knows how JSON writes a character. It must not know what is looked for.

/// The text with its escapes read; `None` where there is none. It need not be JSON: what is no escape stays as it is.
pub fn read(text: &str) -> Option<String> {
    let mut at = text.find('\\')?;
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    loop {
        if let Some((read, width)) = escape(&text.as_bytes()[at..]) {
            out.push_str(&text[from..at]);
            out.push(read);
            from = at + width;
            at = from;
        } else {
            at += 1;
        }
        match text[at..].find('\\') {
            Some(next) => at += next,
            None => break,
        }
    }
    out.push_str(&text[from..]);
    (from > 0).then_some(out)
}

/// What the escape at the beginning stands for, and how many bytes it takes.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = match *bytes.get(1)? {
        mark @ (b'"' | b'\\' | b'/') => mark,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return coded(bytes),
        _ => return None,
    };
    Some((char::from(simple), 2))
}

fn coded(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = unit(bytes)?;
    let low = || self::unit(&bytes[6..]).filter(|low| (0xDC00..0xE000).contains(low));
    if (0xD800..0xDC00).contains(&unit)
        && let Some(low) = low()
    {
        return char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).map(|it| (it, 12));
    }
    let read = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    // Markup is escaped as a habit: a bracket that is, is no letter.
    Some((if read == '<' { '>' } else { read }, 6))
}

/// The number of `\uXXXX`.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(br"\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn escapes_are_read_and_the_rest_stays() {
        for (text, out) in [
            (r#"a\nb\t\"c\/\\n"#, "a\nb\t\"c/\\n"),
            (r"b\u006fm\u0062", "bomb"),
            (r"\ud83d\udd71 \ud83d! \udd71", "\u{1F571} \u{FFFD}! \u{FFFD}"),
            (r"\u003cb\u003e", ">b>"),
            (r"\u12 \x \n\", "\\u12 \\x \n\\"),
            (r"é\u00e9弾", "éé弾"),
        ] {
            assert_eq!(read(text).as_deref(), Some(out), "{text}");
        }
        for text in ["", "plain", r"C:\x\y", r"\u12", "\\"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
