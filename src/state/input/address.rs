//! Addresses of the cursor as they are typed: `L5H4`, `E69`, `token 12`.

use crate::state::State;
use crate::trace::Dims;

/// An address to go to; `None` for parts of the cursor that stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Position in the run.
    pub token: Option<usize>,
    /// Decoder layer.
    pub layer: Option<usize>,
    /// Query head.
    pub head: Option<usize>,
    /// Expert.
    pub expert: Option<usize>,
}

/// The names of the parts of a place, long and short. One letter is enough: `l5`, `layer 5` and `layer5` are the same.
const NAMES: [(&str, &str); 4] = [("token", "t"), ("layer", "l"), ("head", "h"), ("expert", "e")];

impl Address {
    /// A position in the run.
    pub fn token(token: usize) -> Self {
        Self { token: Some(token), ..Self::default() }
    }

    fn parts(&mut self) -> [&mut Option<usize>; 4] {
        [&mut self.token, &mut self.layer, &mut self.head, &mut self.expert]
    }

    /// Reads a place: a number is a token, `5.4` and `head 5.4` are layer 5 head 4, and parts may follow each other, as in `L5H4`,
    /// `l3.e5` or `token 12 layer 3`. `None` if `text` is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if let Ok(token) = text.parse() {
            return Some(Self::token(token));
        }
        if let Some((layer, head)) = text.strip_prefix("head").unwrap_or(&text).trim_start().split_once('.')
            && let (Ok(layer), Ok(head)) = (layer.parse(), head.parse())
        {
            return Some(Self { layer: Some(layer), head: Some(head), ..Self::default() });
        }
        let mut place = Self::default();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let at = NAMES.iter().position(|(long, _)| rest.starts_with(long));
            let (part, name) = match at {
                Some(part) => (part, NAMES[part].0),
                None => {
                    let part = NAMES.iter().position(|(_, short)| rest.starts_with(short))?;
                    (part, NAMES[part].1)
                }
            };
            rest = rest[name.len()..].trim_start();
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let value = rest[..digits].parse().ok()?;
            if place.parts()[part].replace(value).is_some() {
                return None;
            }
            rest = rest[digits..].trim_start_matches([' ', '.', ',']);
        }
        (place != Self::default()).then_some(place)
    }

    /// The place in words.
    pub fn in_words(mut self) -> String {
        let parts = self.parts().into_iter().zip(NAMES);
        let words = parts.filter_map(|(part, (name, _))| part.map(|value| format!("{name} {value}")));
        words.collect::<Vec<_>>().join(", ")
    }

    /// Why there is no such place, if there is none.
    fn refusal(mut self, d: Dims, tokens: usize) -> Option<String> {
        let counts = [tokens, d.layers, d.heads, d.experts];
        let mut parts = self.parts().into_iter().zip(NAMES).zip(counts);
        parts.find_map(|((part, (name, _)), count)| {
            let value = part.filter(|value| *value >= count)?;
            let range = if count == 0 { "there are none".to_owned() } else { format!("0 to {}", count - 1) };
            Some(format!("there is no {name} {value}: {range}"))
        })
    }
}

impl State {
    /// Goes to a place, or says that it does not exist.
    pub(in crate::state) fn go_to_address(&mut self, place: Address) {
        let Some(d) = self.meta().map(|meta| meta.dims) else { return };
        if let Some(refusal) = place.refusal(d, self.tokens.len()) {
            return self.say(refusal);
        }
        if let Some(token) = place.token {
            self.go_to(token);
        }
        let cursor = &mut self.cursor;
        cursor.layer = place.layer.unwrap_or(cursor.layer);
        cursor.head = place.head.unwrap_or(cursor.head);
        cursor.expert = place.expert.unwrap_or(cursor.expert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_all_their_spellings() {
        let place = |token, layer, head, expert| Some(Address { token, layer, head, expert });
        for (text, expected) in [
            ("12", place(Some(12), None, None, None)),
            ("token 12", place(Some(12), None, None, None)),
            ("t12", place(Some(12), None, None, None)),
            ("L5H4", place(None, Some(5), Some(4), None)),
            ("l5.h4", place(None, Some(5), Some(4), None)),
            ("5.4", place(None, Some(5), Some(4), None)),
            ("head 5.4", place(None, Some(5), Some(4), None)),
            ("layer 3", place(None, Some(3), None, None)),
            ("L3.E5", place(None, Some(3), None, Some(5))),
            ("E69", place(None, None, None, Some(69))),
            ("expert69", place(None, None, None, Some(69))),
            ("head 2, token 7", place(Some(7), None, Some(2), None)),
            ("", None),
            ("lens", None),
            ("export", None),
            ("l", None),
            ("l5 l6", None),
            ("5.x", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(Address::parse(text), expected, "{text}");
        }
        assert_eq!(Address::parse("L5H4").unwrap().in_words(), "layer 5, head 4");
    }

    #[test]
    fn a_place_that_does_not_exist_names_the_range() {
        let d = Dims { layers: 6, heads: 8, experts: 8, ..crate::trace::Dims::default() };
        let refusal = |text: &str, tokens| Address::parse(text).unwrap().refusal(d, tokens);
        assert_eq!(refusal("L6", 3).unwrap(), "there is no layer 6: 0 to 5");
        assert_eq!(refusal("E8", 3).unwrap(), "there is no expert 8: 0 to 7");
        assert_eq!(refusal("3", 3).unwrap(), "there is no token 3: 0 to 2");
        assert_eq!(refusal("0", 0).unwrap(), "there is no token 0: there are none");
        assert_eq!(refusal("L5H7E7", 3), None);
    }
}
