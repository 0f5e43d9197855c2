//! `fleetdiag_thresholds`: limits of rules, for a host or a group.

use super::check::unknown;
use crate::model::Thresholds;
use crate::playbook::{catalogue, changed, of_catalogue};
use crate::source::{Node, Source};

const SHAPE: &str = "for example `{long-poll: {typical: 50ms}}`";

/// Reads the thresholds, by rule id. Whatever the catalogue does not know is complained about.
pub(super) fn thresholds(source: &mut Source<'_>, value: &Node) -> Thresholds {
    let mut set = Thresholds::new();
    let Some(rules) = value.mapping() else {
        if !value.is_null() {
            source.complain_with(value.place, format!("thresholds are a mapping, this is {}", value.kind()), SHAPE);
        }
        return set;
    };
    for (key, limits) in rules {
        let rule = match of_catalogue(catalogue(), key.text().unwrap_or_default()) {
            Ok(rule) => rule,
            Err(wrong) => {
                source.complain_with(key.place, wrong.what, wrong.instead);
                continue;
            }
        };
        let Some(limits) = limits.mapping() else {
            let what = format!("the thresholds of a rule are a mapping, this is {}", limits.kind());
            source.complain_with(limits.place, what, SHAPE);
            continue;
        };
        let of_rule = set.entry(rule.id.0.clone()).or_default();
        for (key, value) in limits {
            if let Some(why) = unknown(value) {
                source.complain_with(value.place, why, "write the value itself, here or nearer to the host");
                continue;
            }
            let (name, text) = (key.text().unwrap_or_default(), value.text().unwrap_or_default());
            match changed(rule, name, text) {
                Ok(_) => {
                    of_rule.insert(name.to_owned(), text.to_owned());
                }
                Err(wrong) => {
                    let place = if wrong.is_value { value.place } else { key.place };
                    source.complain_with(place, wrong.what, wrong.instead);
                }
            }
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Thresholds, String> {
        let mut source = Source::new(Path::new("hosts.yaml"), text);
        let node = source.parse().unwrap();
        let set = thresholds(&mut source, &node);
        source.finish(set).map_err(|complaints| complaints.to_string())
    }

    #[test]
    fn rules_are_named_by_id_or_name() {
        let set = read("{long-poll: {typical: 50ms, p99: 90ms}, fd104: {wait: 3s}, starved: {delay: 1s}}").unwrap();
        let of = |rule: &str| set[rule].iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(of("FD101"), ["p99=90ms", "typical=50ms"]);
        assert_eq!(of("FD104"), ["delay=1s", "wait=3s"]);
    }

    #[test]
    fn what_the_catalogue_does_not_know_is_told_with_its_place() {
        let wrong = read(
            "long-pol: {typical: 50ms}\nlong-poll:\n  typcal: 50ms\n  typical: 50\n  current: 0s\n  p99: '{{ p99 }}'\n\
             lost-waker: {idle: 1s}\nstarved: 5s\n",
        )
        .unwrap_err();
        for part in [
            "hosts.yaml:1:1: no rule `long-pol`",
            "did you mean `long-poll`?",
            "hosts.yaml:3:3: `long-poll` has no threshold `typcal`",
            "did you mean `typical`?",
            "hosts.yaml:4:12: `typical` is of another kind",
            "hosts.yaml:5:12: 0ns is impossible for `current`",
            "hosts.yaml:6:8: this is a template",
            "hosts.yaml:7:14: `lost-waker` has no thresholds",
            "hosts.yaml:8:10: the thresholds of a rule are a mapping",
        ] {
            assert!(wrong.contains(part), "{part}\n{wrong}");
        }
    }
}
