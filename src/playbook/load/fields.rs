//! The plain fields: text, lists of it, switches.

use super::Loader;
use crate::source::Node;

impl Loader<'_> {
    /// A text that must be there.
    pub(super) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        if node.get(key).is_none() {
            self.source.complain(node.place, format!("`{key}` is missing"));
        }
        self.optional_text(node, key)
    }

    pub(super) fn optional_text(&mut self, node: &Node, key: &str) -> Option<String> {
        let value = node.get(key)?;
        match value.text() {
            Some(text) if !text.trim().is_empty() && !value.is_null() => Some(text.trim().to_owned()),
            _ => {
                self.source.complain(value.place, format!("`{key}` must be text, this is {}", value.kind()));
                None
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.items(node, key) {
            match item.text() {
                Some(text) if !item.is_null() => texts.push(text.trim().to_owned()),
                _ => self.source.complain_with(
                    item.place,
                    format!("`{key}` is a list of texts, this is {}", item.kind()),
                    "put a text with `: ` in it into quotes",
                ),
            }
        }
        texts
    }

    pub(super) fn items<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        let Some(list) = node.get(key) else { return &[] };
        list.sequence().unwrap_or_else(|| {
            self.source.complain(list.place, format!("`{key}` must be a list, this is {}", list.kind()));
            &[]
        })
    }

    pub(super) fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Node, Node)]> {
        let entries = node.mapping();
        if entries.is_none() {
            self.source.complain(node.place, format!("`{what}` must be a mapping, this is {}", node.kind()));
        }
        entries
    }

    pub(super) fn switch(&mut self, node: &Node, key: &str) -> Option<bool> {
        let value = node.get(key)?;
        match value.text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                self.source.complain_with(value.place, format!("`{key}` is a switch"), "`true` or `false`");
                None
            }
        }
    }
}
