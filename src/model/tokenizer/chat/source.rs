//! A template's source, from what Jinja in Python reads to what the renderer here reads.
//!
//! Three things differ. `%` formats text in Python, which the renderer refuses: `a % b` becomes a call of a filter. So
//! do `a ~ b` and `a + b`: the renderer writes other texts of values, and joins texts and lists without a limit.
//! `{% generation %}` is an extension of transformers that marks text: it becomes a scope. Python's string literals know
//! other escapes. Sizes and depths are checked on the way, because the renderer's parser recurses.

use anyhow::{Result, bail, ensure};

/// The filter that stands for the operator `%`.
pub const PERCENT: &str = "__percent__";

/// The filter that stands for the operator `~`.
pub const CONCAT: &str = "__concat__";

/// The filter that stands for the operator `+`.
pub const ADD: &str = "__add__";

/// Bytes of a template. The longest of public models have 60,000.
const MOST_BYTES: usize = 1 << 19;
/// Tokens of one tag: each can be one more level of the parser's tree.
const MOST_TOKENS: usize = 10_000;
/// Brackets in brackets, and blocks in blocks.
const MOST_DEPTH: usize = 100;
/// `{% elif %}` in one template: each is one more level of the parser's tree.
const MOST_BRANCHES: usize = 1000;

/// Words that separate operands.
const SEPARATORS: [&str; 9] = ["and", "or", "not", "in", "if", "else", "elif", "for", "recursive"];
/// Tags that a later tag ends.
const BLOCKS: [&str; 10] = ["if", "for", "macro", "call", "filter", "with", "block", "autoescape", "generation", "set"];

/// The template for the renderer.
///
/// # Errors
/// If it is too large or too deeply nested. Other faults are left for the renderer.
pub fn adapted(source: &str) -> Result<String> {
    ensure!(source.len() <= MOST_BYTES, "it has {} bytes; at most {MOST_BYTES} are read", source.len());
    // As Jinja does.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let (mut rest, mut depth, mut branches) = (source.as_str(), 0usize, 0);
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        rest = match tag.as_bytes().get(1) {
            Some(b'#') => copy_through(tag, "#}", &mut out),
            Some(b'{') => tag_of(tag, "}}", &mut out)?.rest,
            Some(b'%') => match raw_block(tag) {
                Some(end) => {
                    out.push_str(&tag[..end]);
                    &tag[end..]
                }
                None => {
                    let found = tag_of(tag, "%}", &mut out)?;
                    branches += usize::from(found.name == "elif");
                    ensure!(branches <= MOST_BRANCHES, "it has more than {MOST_BRANCHES} `elif`");
                    if found.name.starts_with("end") {
                        depth = depth.saturating_sub(1);
                    } else if BLOCKS.contains(&found.name) && !found.assigns {
                        depth += 1;
                        ensure!(depth <= MOST_DEPTH, "its blocks are nested more than {MOST_DEPTH} deep");
                    }
                    found.rest
                }
            },
            _ => {
                out.push('{');
                &tag[1..]
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// Copies through the first `end`, or everything. Returns what follows.
fn copy_through<'a>(text: &'a str, end: &str, out: &mut String) -> &'a str {
    let len = text.find(end).map_or(text.len(), |at| at + end.len());
    out.push_str(&text[..len]);
    &text[len..]
}

/// The length of a raw block at the start of the text.
fn raw_block(text: &str) -> Option<usize> {
    let start = keyword_tag(text, "raw")?;
    let mut at = start;
    while let Some(found) = text[at..].find("{%") {
        at += found;
        if let Some(len) = keyword_tag(&text[at..], "endraw") {
            return Some(at + len);
        }
        at += 2;
    }
    Some(text.len())
}

/// The length of `{% word %}` at the start of the text.
fn keyword_tag(text: &str, word: &str) -> Option<usize> {
    let inner = text.strip_prefix("{%")?.trim_start_matches(['-', '+']).trim_start();
    let inner = inner.strip_prefix(word)?.trim_start().trim_start_matches(['-', '+']).strip_prefix("%}")?;
    Some(text.len() - inner.len())
}

/// A tag that was written to the output.
struct Tag<'a> {
    name: &'a str,
    /// Whether it has a `=` outside of brackets: `{% set x = 1 %}` is no block.
    assigns: bool,
    rest: &'a str,
}

/// The operands in one pair of brackets.
struct Level {
    /// Where, in the output, the chain of `*`, `/` and `%` begins that is being read.
    chain: Option<usize>,
    /// Whether the right side of a `%` is being read.
    in_percent: bool,
    /// Where, in the output, the operands of `~` begin.
    texts: Option<usize>,
    /// Whether an operand after a `~` is being read.
    in_texts: bool,
    /// Where, in the output, the operands of `+` and `-` begin.
    sum: Option<usize>,
    /// Whether an operand after a `+` is being read.
    in_sum: bool,
    /// Whether an operand comes next, so that a sign is no operator.
    expects: bool,
}

impl Level {
    fn new() -> Self {
        Self { chain: None, in_percent: false, texts: None, in_texts: false, sum: None, in_sum: false, expects: true }
    }

    /// Ends the right side of a `%`, which becomes the argument of a filter.
    fn end_percent(&mut self, out: &mut String) {
        if std::mem::take(&mut self.in_percent) {
            self.close(out);
        }
    }

    /// Ends the chain, and the operands of `~`.
    fn end_texts(&mut self, out: &mut String) {
        self.end_percent(out);
        if std::mem::take(&mut self.in_texts) {
            self.close(out);
        }
        (self.chain, self.texts, self.expects) = (None, None, true);
    }

    /// Closes what is open.
    fn end(&mut self, out: &mut String) {
        let expects = self.expects;
        self.end_texts(out);
        if std::mem::take(&mut self.in_sum) {
            self.expects = expects;
            self.close(out);
        }
        self.expects = true;
    }

    /// Ends the arguments of a filter. Where an operand is missing, a sign is left for the renderer to refuse.
    fn close(&self, out: &mut String) {
        out.push_str(if self.expects { "+)" } else { ")" });
    }

    /// Ends all operands.
    fn separate(&mut self, out: &mut String) {
        self.end(out);
        self.sum = None;
    }

    /// Begins a chain here unless one is being read.
    fn begin(&mut self, out: &str) {
        self.chain.get_or_insert(out.len());
        self.texts.get_or_insert(out.len());
        self.sum.get_or_insert(out.len());
    }

    fn operand(&mut self, out: &str) {
        self.begin(out);
        self.expects = false;
    }
}

/// Copies one tag with its operators `%` replaced.
fn tag_of<'a>(text: &'a str, end: &str, out: &mut String) -> Result<Tag<'a>> {
    let mut at = 2;
    if text[at..].starts_with(['-', '+']) {
        at += 1;
    }
    out.push_str(&text[..at]);
    let (mut levels, mut name, mut assigns, mut tokens) = (vec![Level::new()], "", false, 0usize);
    let (mut after_is, mut after_dot) = (false, false);
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        if next.is_whitespace() {
            out.push(next);
            at += next.len_utf8();
            continue;
        }
        tokens += 1;
        ensure!(tokens <= MOST_TOKENS, "one of its tags has more than {MOST_TOKENS} words and signs");
        let is_outermost = levels.len() == 1;
        let Some(level) = levels.last_mut() else { break };
        if is_outermost {
            let sign = usize::from(rest.starts_with(['-', '+']));
            if rest[sign..].starts_with(end) {
                level.end(out);
                out.push_str(&rest[..sign + end.len()]);
                return Ok(Tag { name, assigns, rest: &rest[sign + end.len()..] });
            }
        }
        let len = token_len(rest);
        let token = &rest[..len];
        at += len;
        let (was_is, was_dot) = (std::mem::take(&mut after_is), std::mem::take(&mut after_dot));
        match token {
            "%" if !level.expects => {
                level.end_percent(out);
                let chain = level.chain.unwrap_or(out.len());
                out.insert(chain, '(');
                out.push_str(&format!(")|{PERCENT}("));
                (level.in_percent, level.expects) = (true, true);
                continue;
            }
            "(" | "[" | "{" => {
                level.operand(out);
                levels.push(Level::new());
                ensure!(levels.len() <= MOST_DEPTH, "its brackets are nested more than {MOST_DEPTH} deep");
            }
            "~" if !level.expects => {
                level.end_percent(out);
                if std::mem::replace(&mut level.in_texts, true) {
                    out.push(',');
                } else {
                    out.insert(level.texts.unwrap_or(out.len()), '(');
                    out.push_str(&format!(")|{CONCAT}("));
                }
                (level.chain, level.expects) = (None, true);
                continue;
            }
            "+" if !level.expects => {
                level.end_texts(out);
                if std::mem::replace(&mut level.in_sum, true) {
                    out.push(',');
                } else {
                    out.insert(level.sum.unwrap_or(out.len()), '(');
                    out.push_str(&format!(")|{ADD}("));
                }
                continue;
            }
            "-" if !level.expects => level.end(out),
            ")" | "]" | "}" => {
                level.end(out);
                if !is_outermost {
                    levels.pop();
                }
            }
            // A number with a plus is the number.
            "+" if level.expects => continue,
            "-" if level.expects => level.begin(out),
            "*" | "/" | "//" => {
                level.end_percent(out);
                level.expects = true;
            }
            "**" => level.expects = true,
            "|" => {}
            "." => after_dot = true,
            _ if is_word(token) => {
                if name.is_empty() && is_outermost && end == "%}" {
                    name = token;
                    level.separate(out);
                    out.push_str(match token {
                        "generation" => "with",
                        "endgeneration" => "endwith",
                        _ => token,
                    });
                    continue;
                }
                after_is = token == "is" || was_is && token == "not";
                if !was_is && !was_dot && SEPARATORS.contains(&token) {
                    level.separate(out);
                } else if token != "is" {
                    level.operand(out);
                }
            }
            _ if token.starts_with(['"', '\'']) => {
                level.operand(out);
                if token.contains('\\') {
                    push_literal(token, out)?;
                    continue;
                }
            }
            _ if token.starts_with(|c: char| c.is_ascii_digit()) => level.operand(out),
            _ => {
                assigns |= is_outermost && token == "=";
                level.separate(out);
            }
        }
        out.push_str(token);
    }
    // A tag without an end: the renderer says so.
    Ok(Tag { name, assigns, rest: "" })
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// Bytes of the token at the start of a text that is not empty.
fn token_len(text: &str) -> usize {
    let all = |is: fn(char) -> bool| text.find(|c: char| !is(c)).unwrap_or(text.len());
    let first = text.chars().next().unwrap_or_default();
    if is_word(text) {
        return all(|c| c == '_' || c.is_alphanumeric());
    }
    if first.is_ascii_digit() {
        return number_len(text);
    }
    if matches!(first, '"' | '\'') {
        let mut chars = text.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == first {
                return at + 1;
            }
        }
        return text.len();
    }
    let pairs = ["**", "//", "==", "!=", "<=", ">="];
    pairs.iter().find(|pair| text.starts_with(**pair)).map_or(first.len_utf8(), |pair| pair.len())
}

/// Bytes of the number at the start of a text. A dot belongs to it only before a digit.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut len = 0;
    while let Some(byte) = bytes.get(len) {
        let next_is = |wanted: fn(&u8) -> bool| bytes.get(len + 1).is_some_and(wanted);
        let is_exponent_sign = matches!(byte, b'+' | b'-')
            && len > 0
            && matches!(bytes[len - 1], b'e' | b'E')
            && !text.starts_with("0x")
            && next_is(u8::is_ascii_digit);
        let is_part = byte.is_ascii_alphanumeric() || *byte == b'_' || is_exponent_sign;
        if !(is_part || *byte == b'.' && next_is(u8::is_ascii_digit)) {
            break;
        }
        len += 1;
    }
    len
}

/// Writes a literal with Python's escapes decoded.
fn push_literal(token: &str, out: &mut String) -> Result<()> {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    out.push('"');
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        let decoded = if c != '\\' {
            Some(c)
        } else {
            let Some(escape) = chars.next() else { break };
            let number = match escape {
                'x' => Some(digits_of(&mut chars, 2)?),
                'u' => Some(digits_of(&mut chars, 4)?),
                'U' => Some(digits_of(&mut chars, 8)?),
                '0'..='7' => {
                    let mut value = escape.to_digit(8).unwrap_or_default();
                    for _ in 0..2 {
                        let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                        value = value * 8 + digit;
                        chars.next();
                    }
                    Some(value)
                }
                _ => None,
            };
            match (number, escape) {
                (Some(number), _) => match char::from_u32(number) {
                    Some(c) => Some(c),
                    None => bail!("a string in it has the escape of U+{number:04X}, which is no character"),
                },
                (None, '\n') => None,
                (None, '\\' | '\'' | '"') => Some(escape),
                (None, 'a') => Some('\x07'),
                (None, 'b') => Some('\x08'),
                (None, 'f') => Some('\x0c'),
                (None, 'n') => Some('\n'),
                (None, 'r') => Some('\r'),
                (None, 't') => Some('\t'),
                (None, 'v') => Some('\x0b'),
                (None, 'N') => bail!("a string in it names a character (\\N{{…}}), which is not supported"),
                (None, other) => {
                    out.push_str("\\\\");
                    Some(other)
                }
            }
        };
        match decoded {
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some(c) => out.push(c),
            None => {}
        }
    }
    out.push('"');
    Ok(())
}

/// The number of an escape with `count` hexadecimal digits.
fn digits_of(chars: &mut std::iter::Peekable<std::str::Chars>, count: usize) -> Result<u32> {
    let digits: String = chars.by_ref().take(count).collect();
    match u32::from_str_radix(&digits, 16) {
        Ok(value) if digits.len() == count => Ok(value),
        _ => bail!("a string in it has an escape with fewer than {count} digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_become_filters_with_their_operands() {
        for (before, after) in [
            ("{{ a % b }}", "{{ (a )|__percent__( b )}}"),
            ("{{ x + a*b % -c.d[0]|f + y }}", "{{ (x )|__add__( (a*b )|__percent__( -c.d[0]|f ), y )}}"),
            ("{{ a - b + c - d }}", "{{ (a - b )|__add__( c )- d }}"),
            ("{{ a % b % c }}", "{{ ((a )|__percent__( b ))|__percent__( c )}}"),
            ("{% if (a%2 == 0) %}%{% endif %}", "{% if ((a)|__percent__(2 )== 0) %}%{% endif %}"),
            ("{# a % b #}{% raw %}{{ a % b }}{% endraw %}", "{# a % b #}{% raw %}{{ a % b }}{% endraw %}"),
            ("{{ '%}' ~ \"a%\" }}", "{{ ('%}' )|__concat__( \"a%\" )}}"),
            (
                "{{ x + a * 2 ~ b % c ~ -d|f == e }}",
                "{{ (x )|__add__( (a * 2 )|__concat__( (b )|__percent__( c ), -d|f ))== e }}",
            ),
            ("{%- generation -%}x{% endgeneration %}", "{%- with -%}x{% endwith %}"),
            (r"{{ '\d\x41\u00e9\101' }}", r#"{{ "\\dAéA" }}"#),
        ] {
            assert_eq!(adapted(before).unwrap(), after);
        }
    }

    #[test]
    fn what_could_exhaust_the_parser_is_refused() {
        let blocks = format!("{}{}", "{% if a %}".repeat(101), "{% endif %}".repeat(101));
        let long = format!("{{{{ {} }}}}", "not ".repeat(10_001));
        let brackets = format!("{{{{ {} }}}}", "(".repeat(101));
        let branches = format!("{{% if a %}}{}", "{% elif a %}".repeat(1001));
        for (template, what) in [
            (blocks, "blocks"),
            (long, "tags"),
            (brackets, "brackets"),
            (branches, "elif"),
            ("x".repeat(1 << 20), "bytes"),
        ] {
            assert!(adapted(&template).unwrap_err().to_string().contains(what), "{what}");
        }
        let sound = "{% set a = 1 %}{% if a %}{% elif b %}{% endif %}".repeat(500);
        assert!(adapted(&sound).is_ok());
    }
}
