//! Calls as models write them, and what only looks like one; however the text is cut.

use proptest::prelude::*;

use super::*;

/// The answer's text, and each call's name and arguments.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, Vec<(String, String)>) {
    let mut scan = ToolScan::default();
    let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
    let mut take = |all: Vec<Piece>| {
        for piece in all {
            match piece {
                Piece::Text(t) => text.push_str(&t),
                Piece::Call(name) => calls.push((name, String::new())),
                Piece::Arguments(t) => calls.last_mut().unwrap().1.push_str(&t),
            }
        }
    };
    pieces.into_iter().for_each(|piece| take(scan.push(piece)));
    take(scan.finish());
    (text, calls)
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

const R1: &str = "Let me look.\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Köln\", \
    \"x\": [1, 2]}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n{\n  \"a\": \"```\"\n}\n```\
    <｜tool▁call▁end｜><｜tool▁calls▁end｜>";
const V31: &str = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Bonn\"}<｜tool▁call▁end｜>\
    <｜tool▁call▁begin｜>time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
const QWEN: &str = "Sure.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"K\\u00f6ln }\", \"x\": [{}, \"\\\"\"]}}\n\
    </tool_call>\n<tool_call>{\"arguments\": {\"tz\": \"UTC\"}, \"id\": 7, \"name\": \"time\"}</tool_call>\nDone.";

#[test]
fn each_format_is_read() {
    let (text, calls) = scan([R1]);
    assert_eq!(text, "Let me look.");
    assert_eq!(calls, [call("weather", "{\"city\": \"Köln\", \"x\": [1, 2]}"), call("time", "{\n  \"a\": \"```\"\n}")]);
    let (text, calls) = scan([V31]);
    assert_eq!((text.as_str(), calls), ("", vec![call("weather", "{\"city\": \"Bonn\"}"), call("time", "{}")]));
    let (text, calls) = scan([QWEN]);
    assert_eq!(text, "Sure.Done.");
    let arguments = r#"{"city": "K\u00f6ln }", "x": [{}, "\""]}"#;
    assert_eq!(calls, [call("weather", arguments), call("time", r#"{"tz": "UTC"}"#)]);
}

#[test]
fn arguments_come_while_they_are_written() {
    let mut scan = ToolScan::default();
    assert_eq!(scan.push("<tool_call>{\"name\": \"f\", \"argum"), []);
    assert_eq!(scan.push("ents\": {\"a"), [Piece::Call("f".into()), Piece::Arguments("{\"a".into())]);
    assert_eq!(scan.push("\": 1"), [Piece::Arguments("\": 1".into())]);
    assert_eq!(scan.push("}}"), [Piece::Arguments("}".into())]);
    let mut scan = ToolScan::default();
    assert_eq!(scan.push("hi <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f"), [Piece::Text("hi".into())]);
    assert_eq!(scan.push("\n```json\n{\"a\""), [Piece::Call("f".into()), Piece::Arguments("{\"a\"".into())]);
    assert_eq!(scan.push(": 1}\n``"), [Piece::Arguments(": 1}".into())]);
}

#[test]
fn arguments_may_be_a_text_or_left_out() {
    let json = r#"<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call><tool_call>{"name": "g"}</tool_call>"#;
    assert_eq!(scan([json]).1, [call("f", r#"{"a": 1}"#), call("g", "{}")]);
}

#[test]
fn what_is_no_call_stays_text() {
    for text in [
        "a <tool_call> is a tag, <b> and <tool",
        "x\n<tool_call>\n{\"nom\": 1}",
        "<tool_call>[1]</tool_call>",
        "<tool_call>{\"name\": 5}</tool_call>",
        "y\n<｜tool▁call▁begin｜>never ends",
        "spaces  \n",
        "<tool_call>{\"name\": \"f\"",
    ] {
        assert_eq!(scan([text]), (text.to_owned(), vec![]), "{text}");
    }
    let long = format!("<｜tool▁call▁begin｜>{}", "a".repeat(2000));
    assert_eq!(scan([long.as_str()]), (long.clone(), vec![]));
}

#[test]
fn an_answer_cut_off_in_a_call_gives_what_there_is() {
    let (text, calls) = scan(["<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1,"]);
    assert_eq!((text.as_str(), calls), ("", vec![call("f", "{\"a\": [1,")]));
    let (text, calls) = scan(["<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\""]);
    assert_eq!((text.as_str(), calls), ("", vec![call("f", "{\"a\"")]));
    // The end forgotten: what follows is text.
    let (text, calls) = scan(["<tool_call>{\"name\": \"f\", \"arguments\": {}}\nso"]);
    assert_eq!((text.as_str(), calls), ("so", vec![call("f", "{}")]));
}

proptest! {
    #[test]
    fn cuts_do_not_matter(which in 0usize..4, cuts in proptest::collection::vec(0usize..300, 0..12), junk in "[<{}\"a:,\n]{0,12}") {
        let whole = match which {
            0 => R1.to_owned(),
            1 => V31.to_owned(),
            2 => QWEN.to_owned(),
            _ => format!("a<tool_call>{{\"name\"{junk}</tool_call>b"),
        };
        let whole: Vec<char> = whole.chars().collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(whole.len())).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let pieces: Vec<String> = cuts.windows(2).map(|w| whole[w[0]..w[1]].iter().collect()).collect();
        let whole: String = whole.into_iter().collect();
        prop_assert_eq!(scan(pieces.iter().map(String::as_str)), scan([whole.as_str()]));
    }
}
