use super::text::is_obeyed;
use serde::Serialize;

/// `value` as JSON for people and programs: indented, a line end last, and nothing in it that a terminal obeys.
///
/// # Errors
/// If it can't be written as JSON.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(harmless_json(&serde_json::to_string_pretty(value)?) + "\n")
}

/// JSON of the same value in which characters that a terminal would obey are escapes.
pub fn harmless_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Others below the space are white space between values: serde_json escapes them in strings.
        if c >= ' ' && is_obeyed(c) {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_value_stays() {
        let text = "a\u{9b}31m\u{202e}b\u{7f}\u{1b}\n\u{e0001}ü三\"\\";
        let json = json_text(&[text]).unwrap();
        assert_eq!(json, "[\n  \"a\\u009b31m\\u202eb\\u007f\\u001b\\n\\udb40\\udc01ü三\\\"\\\\\"\n]\n");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
    }
}
