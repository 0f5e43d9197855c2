//! Values as JSON, with the types that Ansible gives them, and JSON as values.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use crate::source::{Node, Place, Value};

/// `node` as JSON. Plain scalars are typed as YAML 1.1 has it, which Ansible reads.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { text, quoted: true } => Json::String(text.clone()),
        Value::Scalar { text, quoted: false } => plain(text),
        Value::Sequence(items) => Json::Array(items.iter().map(json).collect()),
        Value::Mapping(entries) => {
            let entry = |(key, value): &(Node, Node)| (key.text().unwrap_or_default().to_owned(), json(value));
            Json::Object(entries.iter().map(entry).collect())
        }
    }
}

fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Json::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Json::Bool(false),
        _ => {}
    }
    let number = integer(text).map(Json::from).or_else(|| float(text).map(Json::from));
    number.unwrap_or_else(|| Json::String(text.to_owned()))
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let parsed = match digits.as_bytes() {
        [b'0', b'x', rest @ ..] => (16, std::str::from_utf8(rest).ok()?),
        [b'0', b'b', rest @ ..] => (2, std::str::from_utf8(rest).ok()?),
        [b'0', rest @ ..] if !rest.is_empty() => (8, std::str::from_utf8(rest).ok()?),
        _ => (10, digits.as_str()),
    };
    let value = i64::from_str_radix(parsed.1, parsed.0).ok().filter(|_| !parsed.1.starts_with(['+', '-']))?;
    Some(if negative { -value } else { value })
}

fn float(text: &str) -> Option<f64> {
    static FLOAT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?$").ok());
    FLOAT.as_ref().filter(|regex| regex.is_match(text)).and_then(|_| text.replace('_', "").parse().ok())
}

/// JSON that a program printed: without places, and in its order.
pub(super) struct FromJson(pub Node);

impl<'de> Deserialize<'de> for FromJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

fn scalar(text: impl Into<String>, quoted: bool) -> Node {
    Node { value: Value::Scalar { text: text.into(), quoted }, place: Place::default() }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(scalar("null", false))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(scalar(value.to_string(), false))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(scalar(value.to_string(), false))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(scalar(value.to_string(), false))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(scalar(format!("{value:?}"), false))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(scalar(value, true))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(FromJson(node)) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Node { value: Value::Sequence(nodes), place: Place::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut nodes: Vec<(Node, Node)> = Vec::new();
        while let Some((key, FromJson(value))) = entries.next_entry::<String, FromJson>()? {
            nodes.push((scalar(key, true), value));
        }
        Ok(Node { value: Value::Mapping(nodes), place: Place::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::{FromJson, json, plain};
    use serde_json::json;

    #[test]
    fn plain_scalars_are_typed_as_ansible_types_them() {
        for (text, typed) in [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("~", json!(null)),
            ("22", json!(22)),
            ("-5", json!(-5)),
            ("0644", json!(420)),
            ("0x1f", json!(31)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            ("1.0.3", json!("1.0.3")),
            ("1e3", json!("1e3")),
            ("089", json!("089")),
            ("eu-1", json!("eu-1")),
            ("-", json!("-")),
        ] {
            assert_eq!(plain(text), typed, "{text}");
        }
    }

    #[test]
    fn json_comes_back_as_it_was() {
        let value = json!({"b": [1, 2.0, true, null, "yes", "\u{1f600}"], "a": {"c": "1"}});
        let FromJson(node) = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(json(&node), value);
    }
}
