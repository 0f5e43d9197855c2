//! Which place of one run is which of another, when lines have moved in between.

use std::collections::BTreeMap;

use crate::diagnose::{FleetSite, Subject};
use crate::model::{Origin, Service, SpawnLocation};

/// What stays of a place when lines move: everything but line, column and the version of its crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    service: &'a Service,
    /// Kind, `fn` and folded name of a site, or the type of a resource.
    what: (u8, Option<&'a str>, Option<&'a str>, Option<&'a str>),
    /// Whose code, and the file.
    file: Option<(u8, &'a str, &'a str)>,
}

/// Pairs of places, and those that only one run has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Matched<'a> {
    pub both: Vec<(&'a Subject, &'a Subject)>,
    pub before: Vec<&'a Subject>,
    pub after: Vec<&'a Subject>,
}

/// Matches places; within one file and name the order of lines decides, and a place that stands still before one that
/// moved.
pub(super) fn matched<'a>(
    before: impl IntoIterator<Item = &'a Subject>,
    after: impl IntoIterator<Item = &'a Subject>,
) -> Matched<'a> {
    let mut by_key: BTreeMap<Key<'a>, [Vec<&'a Subject>; 2]> = BTreeMap::new();
    before.into_iter().for_each(|subject| by_key.entry(key(subject)).or_default()[0].push(subject));
    after.into_iter().for_each(|subject| by_key.entry(key(subject)).or_default()[1].push(subject));
    let mut matched = Matched::default();
    for (_, [mut before, mut after]) in by_key {
        before.sort_by_key(|subject| line(subject));
        after.sort_by_key(|subject| line(subject));
        if before.len().saturating_mul(after.len()) <= MOST_PAIRS {
            align(&before, &after, &mut matched);
        } else {
            exact(before, after, &mut matched);
        }
    }
    matched
}

fn key(subject: &Subject) -> Key<'_> {
    let (what, location) = match subject {
        Subject::Site(FleetSite { site, .. }) => {
            ((0, Some(site.kind.as_str()), site.fn_name.as_deref(), site.name.as_deref()), site.location.as_ref())
        }
        Subject::Resource { concrete_type, location, .. } => {
            ((1, Some(concrete_type.as_str()), None, None), location.as_ref())
        }
        Subject::Target { .. } => ((2, None, None, None), None),
    };
    Key { service: subject.service(), what, file: location.map(file) }
}

fn file(location: &SpawnLocation) -> (u8, &str, &str) {
    let (whose, krate) = match &location.origin {
        Origin::App => (0, ""),
        Origin::Dependency { krate, .. } => (1, krate.as_str()),
        Origin::Runtime { .. } => (2, ""),
        Origin::Std => (3, ""),
    };
    (whose, krate, &location.file)
}

fn line(subject: &Subject) -> (u32, u32) {
    let location = match subject {
        Subject::Site(site) => site.site.location.as_ref(),
        Subject::Resource { location, .. } => location.as_ref(),
        Subject::Target { .. } => None,
    };
    location.map_or((0, 0), |location| (location.line, location.column))
}

/// The cost of calling two places one: most for having moved, then for how far.
fn cost(before: &Subject, after: &Subject) -> usize {
    let (before, after) = (line(before), line(after));
    let far = before.0.abs_diff(after.0).min(9_999) as usize;
    match (before, after) {
        (before, after) if before == after => 0,
        // Moved with its indentation, as code does when something is inserted above.
        (before, after) if before.1 == after.1 => 40_000 + far,
        _ => 60_000 + far,
    }
}

/// What a place costs that has no partner: two of them cost more than one that moved.
const ALONE: usize = 40_000;

/// Beyond this no program of a person's is compared, and only what stands still is matched.
const MOST_PAIRS: usize = 1_000_000;

fn exact<'a>(before: Vec<&'a Subject>, after: Vec<&'a Subject>, matched: &mut Matched<'a>) {
    let mut after: BTreeMap<_, _> = after.into_iter().map(|subject| (line(subject), subject)).collect();
    for subject in before {
        match after.remove(&line(subject)) {
            Some(same) => matched.both.push((subject, same)),
            None => matched.before.push(subject),
        }
    }
    matched.after.extend(after.into_values());
}

/// The cheapest pairing that keeps the order, by dynamic programming over the two ordered lists.
fn align<'a>(before: &[&'a Subject], after: &[&'a Subject], matched: &mut Matched<'a>) {
    let (rows, columns) = (before.len(), after.len());
    // costs[i][j]: of the rest from before[i] and after[j] on.
    let mut costs = vec![vec![0; columns + 1]; rows + 1];
    for i in (0..=rows).rev() {
        for j in (0..=columns).rev() {
            costs[i][j] = match (i == rows, j == columns) {
                (true, _) => ALONE * (columns - j),
                (_, true) => ALONE * (rows - i),
                _ => (cost(before[i], after[j]) + costs[i + 1][j + 1])
                    .min(ALONE + costs[i + 1][j])
                    .min(ALONE + costs[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < rows && j < columns {
        if costs[i][j] == ALONE + costs[i + 1][j] {
            matched.before.push(before[i]);
            i += 1;
        } else if costs[i][j] == ALONE + costs[i][j + 1] {
            matched.after.push(after[j]);
            j += 1;
        } else {
            matched.both.push((before[i], after[j]));
            (i, j) = (i + 1, j + 1);
        }
    }
    matched.before.extend(&before[i..]);
    matched.after.extend(&after[j..]);
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Matched, matched};
    use crate::diagnose::{FleetSite, Subject};
    use crate::model::{Origin, Service, Site, SpawnLocation, TaskKind};

    pub(in crate::diagnose::compare) fn site(file: &str, line: u32, column: u32) -> Subject {
        let location = SpawnLocation { origin: Origin::App, file: file.to_owned(), line, column };
        let site = Site { location: Some(location), kind: TaskKind::Task, fn_name: None, name: None };
        Subject::Site(FleetSite { service: Service("web".to_owned()), site })
    }

    fn lines(before: &[(u32, u32)], after: &[(u32, u32)]) -> (Vec<(u32, u32)>, Vec<u32>, Vec<u32>) {
        let subjects = |lines: &[(u32, u32)]| lines.iter().map(|&(l, c)| site("a.rs", l, c)).collect::<Vec<_>>();
        let (before, after) = (subjects(before), subjects(after));
        let Matched { both, before, after } = matched(&before, &after);
        let line = |subject: &Subject| super::line(subject).0;
        (
            both.into_iter().map(|(before, after)| (line(before), line(after))).collect(),
            before.into_iter().map(line).collect(),
            after.into_iter().map(line).collect(),
        )
    }

    #[test]
    fn a_file_that_grew_at_its_top_keeps_its_places() {
        assert_eq!(lines(&[(10, 5), (30, 5)], &[(17, 5), (37, 5)]), (vec![(10, 17), (30, 37)], vec![], vec![]));
    }

    #[test]
    fn a_place_that_was_added_between_others_is_the_new_one() {
        assert_eq!(
            lines(&[(10, 5), (30, 9)], &[(10, 5), (20, 5), (40, 9)]),
            (vec![(10, 10), (30, 40)], vec![], vec![20])
        );
    }

    #[test]
    fn of_two_candidates_the_nearer_one_is_the_same_place() {
        assert_eq!(lines(&[(58, 9)], &[(65, 9), (78, 9)]), (vec![(58, 65)], vec![], vec![78]));
    }

    #[test]
    fn what_stands_still_is_not_called_moved_because_a_neighbour_was_not_seen() {
        assert_eq!(lines(&[(10, 5), (20, 5)], &[(20, 5), (30, 5)]), (vec![(20, 20)], vec![10], vec![30]));
    }

    #[test]
    fn other_files_and_other_names_are_other_places() {
        let (before, after) = ([site("a.rs", 1, 1)], [site("b.rs", 1, 1)]);
        assert!(matched(&before, &after).both.is_empty());
    }
}
