//! Upper, lower and title case, and digits, as Python knows them.

/// The title case of a letter, which differs from upper case for those that are two.
fn title_of(c: char) -> String {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".to_owned(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".to_owned(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".to_owned(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".to_owned(),
        'ŉ' => "ʼN".to_owned(),
        _ => {
            let mut upper = c.to_uppercase();
            let first = upper.next().into_iter();
            first.chain(upper.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// Whether a letter is in title case, which differs from upper case.
pub fn is_title(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | 'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ')
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || is_title(c)
}

/// `str.title`: a letter after another is lower case, others are title case.
pub fn title(text: &str) -> String {
    let (mut out, mut follows) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        if follows {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_of(c));
        }
        follows = is_cased(c);
    }
    out
}

/// `str.capitalize`.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| title_of(first) + &chars.as_str().to_lowercase())
}

/// `str.swapcase`.
pub fn swapcase(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else if c.is_lowercase() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// `str.istitle`.
pub fn is_titled(text: &str) -> bool {
    let (mut follows, mut found) = (false, false);
    for c in text.chars() {
        if c.is_uppercase() || is_title(c) {
            if follows {
                return false;
            }
            (follows, found) = (true, true);
        } else if c.is_lowercase() {
            if !follows {
                return false;
            }
            found = true;
        } else {
            follows = false;
        }
    }
    found
}

/// The zeros of the decimal digits of Unicode.
const ZEROS: [u32; 62] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0,
    0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
];

/// Whether a character is a decimal digit.
pub fn is_decimal(c: char) -> bool {
    let code = u32::from(c);
    let at = ZEROS.partition_point(|zero| *zero <= code);
    at > 0 && code - ZEROS[at - 1] < 10
}

/// Whether a character is another digit: a superscript, a subscript, one in a circle.
pub fn is_other_digit(c: char) -> bool {
    matches!(u32::from(c), 0xb2 | 0xb3 | 0xb9 | 0x1369..=0x1371 | 0x19da | 0x2070 | 0x2074..=0x2079 | 0x2080..=0x2089
        | 0x2460..=0x2468 | 0x2474..=0x247c | 0x2488..=0x2490 | 0x24ea | 0x24f5..=0x24fd | 0x24ff
        | 0x2776..=0x277e | 0x2780..=0x2788 | 0x278a..=0x2792)
}
