//! Variables as they are read: kept with their places, and ours checked where they stand.

use std::sync::Arc;

use super::files::ENCRYPTED;
use super::variables::{Origin, VarMap, Variable};
use crate::source::{Node, Source, Value};

/// The variables of a mapping.
pub(super) fn variables(source: &mut Source<'_>, node: &Node, origin: &Arc<Origin>) -> VarMap {
    match node.mapping() {
        Some(entries) => {
            entries.iter().filter_map(|(key, value)| variable(source, key.clone(), value.clone(), origin)).collect()
        }
        None if node.is_null() => VarMap::new(),
        None => {
            source.complain(node.place, format!("variables must be a mapping, and are {}", node.kind()));
            VarMap::new()
        }
    }
}

/// One variable; one of our own must make sense wherever it is set, which is checked later where its name is short.
pub(super) fn variable(
    source: &mut Source<'_>,
    key: Node,
    value: Node,
    origin: &Arc<Origin>,
) -> Option<(Arc<str>, Arc<Variable>)> {
    let name: Arc<str> = key.text()?.into();
    if unknown(&value).is_none() {
        super::naming::check(source, &key, &value);
    }
    Some((name, Arc::new(Variable { key, value, origin: Arc::clone(origin) })))
}

/// Why what a value will be is not known here: only Ansible computes and decrypts.
pub(super) fn unknown(value: &Node) -> Option<&'static str> {
    match &value.value {
        Value::Scalar { text, .. } if text.contains("{{") || text.contains("{%") => {
            Some("this is a template, which only Ansible evaluates")
        }
        Value::Scalar { text, .. } if text.trim_start().starts_with(ENCRYPTED) => {
            Some("this is encrypted, which only Ansible can read")
        }
        Value::Scalar { .. } => None,
        Value::Sequence(items) => items.iter().find_map(unknown),
        Value::Mapping(entries) => entries.iter().find_map(|(_, value)| unknown(value)),
    }
}
