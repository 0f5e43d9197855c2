//! The values of an INI inventory: Ansible reads what is a Python literal as one, and everything else as text.

use crate::source::{Node, Place, Value};

/// Deepest nesting of a literal.
const MAX_DEPTH: usize = 32;

/// `text` as Ansible's INI reader takes it.
pub(super) fn value(text: &str, place: Place) -> Node {
    let as_text = || Node { value: Value::Scalar { text: text.to_owned(), quoted: true }, place };
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), place };
    let parsed = parser.value(0).filter(|_| {
        let rest = parser.rest.trim_start();
        rest.is_empty() || rest.starts_with('#')
    });
    parsed.unwrap_or_else(as_text)
}

/// Reads one literal off the front; nothing when there is none.
struct Parser<'a> {
    rest: &'a str,
    place: Place,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Option<Node> {
        self.rest = self.rest.trim_start();
        if depth > MAX_DEPTH {
            return None;
        }
        let value = match self.rest.chars().next()? {
            '\'' | '"' => Value::Scalar { text: self.string()?, quoted: true },
            '[' => Value::Sequence(self.items(']', depth)?.0),
            '(' => match self.items(')', depth)? {
                // Parentheses around one value are no list.
                (mut items, false) if items.len() == 1 => return items.pop(),
                (items, _) => Value::Sequence(items),
            },
            '{' => self.mapping(depth)?,
            _ => self.word()?,
        };
        Some(Node { value, place: self.place })
    }

    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut is_first = true;
        // Strings side by side are one.
        while let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            if self.rest.starts_with("'''") || self.rest.starts_with("\"\"\"") {
                return None;
            }
            let mut chars = self.rest[1..].char_indices();
            let end = loop {
                match chars.next()? {
                    (at, c) if c == quote => break at,
                    (_, '\\') => text.extend(escape(&mut chars)?),
                    (_, '\n') => return None,
                    (_, c) => text.push(c),
                }
            };
            self.rest = self.rest[1 + end + 1..].trim_start();
            is_first = false;
        }
        (!is_first).then_some(text)
    }

    /// Items up to `end`, and whether a comma was among them.
    fn items(&mut self, end: char, depth: usize) -> Option<(Vec<Node>, bool)> {
        self.rest = &self.rest[1..];
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            if self.eat(end) {
                return Some((items, true));
            }
            items.push(self.value(depth + 1)?);
            if self.eat(',') {
                comma = true;
            } else if !self.eat(end) {
                return None;
            } else {
                return Some((items, comma));
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Option<Value> {
        self.rest = &self.rest[1..];
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut values = Vec::new();
        loop {
            if self.eat('}') {
                break;
            }
            let key = self.value(depth + 1)?;
            if self.eat(':') {
                key.text()?;
                let value = self.value(depth + 1)?;
                entries.retain(|(known, _)| known.text() != key.text());
                entries.push((key, value));
            } else {
                values.push(key);
            }
            if !self.eat(',') {
                if self.eat('}') {
                    break;
                }
                return None;
            }
        }
        match (entries.is_empty(), values.is_empty()) {
            (false, false) => None,
            (true, false) => Some(Value::Sequence(values)),
            _ => Some(Value::Mapping(entries)),
        }
    }

    /// A number, `True`, `False` or `None`.
    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| c.is_whitespace() || ",:]})#".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        let text = match word {
            "True" => "true".to_owned(),
            "False" => "false".to_owned(),
            "None" => "null".to_owned(),
            number => python_number(number)?,
        };
        Some(Value::Scalar { text, quoted: false })
    }
}

/// A Python number as the plain scalar that means the same.
fn python_number(word: &str) -> Option<String> {
    let (sign, digits) = match word.as_bytes() {
        [b'-', ..] => ("-", &word[1..]),
        [b'+', ..] => ("", &word[1..]),
        _ => ("", word),
    };
    let lower = digits.to_ascii_lowercase().replace('_', "");
    if digits.ends_with('_') || digits.starts_with('_') || digits.contains("__") {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return Some(format!("{sign}{}", u64::from_str_radix(digits, radix).ok()?));
        }
    }
    if !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit()) {
        let leading_zero = lower.len() > 1 && lower.starts_with('0') && lower.bytes().any(|byte| byte != b'0');
        let digits = if lower.bytes().all(|byte| byte == b'0') { "0" } else { lower.as_str() };
        return (!leading_zero).then(|| format!("{sign}{digits}"));
    }
    let is_float = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && lower.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    let value: f64 = lower.parse().ok().filter(|_| is_float)?;
    value.is_finite().then(|| {
        let text = format!("{value:?}");
        // YAML wants the sign of an exponent and a dot.
        match text.split_once('e') {
            Some((digits, exponent)) => {
                let dot = if digits.contains('.') { "" } else { ".0" };
                let plus = if exponent.starts_with('-') { "" } else { "+" };
                format!("{sign}{digits}{dot}e{plus}{exponent}")
            }
            None => format!("{sign}{text}"),
        }
    })
}

/// What follows a backslash; Python keeps the backslash of what it does not know.
fn escape(chars: &mut std::str::CharIndices<'_>) -> Option<Vec<char>> {
    let (_, c) = chars.next()?;
    let mut code = |digits: usize| {
        let text: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
        u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits).and_then(char::from_u32)
    };
    Some(match c {
        'n' => vec!['\n'],
        't' => vec!['\t'],
        'r' => vec!['\r'],
        '\\' | '\'' | '"' => vec![c],
        '\n' => vec![],
        'x' => vec![code(2)?],
        'u' => vec![code(4)?],
        'U' => vec![code(8)?],
        '0'..='7' | 'a' | 'b' | 'f' | 'v' | 'N' => return None,
        other => vec!['\\', other],
    })
}

#[cfg(test)]
mod tests {
    use super::value;
    use crate::inventory::typed::json;
    use crate::source::Place;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn literals_are_pythons_and_everything_else_is_text() {
        for (text, typed) in [
            ("5", json!(5)),
            ("-5", json!(-5)),
            ("0x10", json!(16)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("005", json!("005")),
            ("True", json!(true)),
            ("true", json!("true")),
            ("yes", json!("yes")),
            ("None", json!(null)),
            ("'a b'", json!("a b")),
            ("\"a\\tb\" # why", json!("a\tb")),
            ("-o ProxyJump=x", json!("-o ProxyJump=x")),
            ("['a', 2, {'b': (1, 2)}]", json!(["a", 2, {"b": [1, 2]}])),
            ("{'a': None}", json!({"a": null})),
            ("(5)", json!(5)),
            ("()", json!([])),
            ("[a]", json!("[a]")),
            ("1.2.3.4", json!("1.2.3.4")),
            ("'open", json!("'open")),
            ("", json!("")),
            ("2024-01-01", json!("2024-01-01")),
        ] {
            assert_eq!(json(&value(text, Place::default())), typed, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~äé\\\\'\"\\[\\]{}(),:#]{0,60}") {
            value(&text, Place::default());
        }
    }
}
