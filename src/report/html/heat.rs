//! The heat map of sites × hosts, as few paths as there are shades.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::super::words;
use crate::diagnose::{Diagnosis, SiteFigures, Subject};
use crate::model::TargetId;

/// Shades beside "nothing".
const SHADES: usize = 6;

#[derive(Serialize)]
pub(super) struct Map {
    rows: Vec<String>,
    columns: Vec<String>,
    layers: Vec<Layer>,
}

/// One figure.
#[derive(Serialize)]
struct Layer {
    name: &'static str,
    shades: Vec<Shade>,
}

/// The cells of one shade.
#[derive(Serialize)]
struct Shade {
    level: usize,
    range: String,
    /// Squares of one unit, those side by side in one piece.
    path: String,
}

/// Absent when no site was seen.
pub(super) fn map(diagnosis: &Diagnosis) -> Option<Map> {
    type Figure = (&'static str, fn(&SiteFigures) -> u128, fn(u128) -> String);
    let time = |nanos: u128| format!("{:.1?}", Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
    let number = |count: u128| words::grouped(u64::try_from(count).unwrap_or(u64::MAX));
    let figures: [Figure; 3] = [
        ("time inside polls", |of| of.busy.as_nanos(), time),
        ("time woken and not polled", |of| of.scheduled.as_nanos(), time),
        ("tasks alive", |of| u128::from(of.alive), number),
    ];
    let columns: BTreeSet<&TargetId> = diagnosis.sites.iter().flat_map(|site| site.by_target.keys()).collect();
    if columns.is_empty() {
        return None;
    }
    let place: BTreeMap<&TargetId, usize> = columns.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let row = |site: &crate::diagnose::SiteReport| {
        let subject = Subject::Site(site.site.clone());
        [vec![words::place(&subject)], words::beside(&subject)].concat().join(" · ")
    };
    let layer = |(name, value, text): Figure| Layer { name, shades: shades(diagnosis, &place, value, text) };
    Some(Map {
        rows: diagnosis.sites.iter().map(row).collect(),
        columns: columns.iter().map(ToString::to_string).collect(),
        layers: figures.map(layer).into(),
    })
}

fn shades(
    diagnosis: &Diagnosis,
    place: &BTreeMap<&TargetId, usize>,
    value: fn(&SiteFigures) -> u128,
    text: fn(u128) -> String,
) -> Vec<Shade> {
    let values =
        || diagnosis.sites.iter().flat_map(|site| site.by_target.values()).map(value).filter(|value| *value > 0);
    let scale = Scale::of(values());
    let mut paths = vec![String::new(); SHADES];
    for (y, site) in diagnosis.sites.iter().enumerate() {
        // Neighbours of one shade become one piece.
        let mut run: Option<(usize, usize, usize)> = None;
        for (id, figures) in &site.by_target {
            let (Some(&x), Some(shade)) = (place.get(id), scale.shade(value(figures))) else { continue };
            match &mut run {
                Some((_, end, of)) if *end == x && *of == shade => *end += 1,
                _ => {
                    draw(&mut paths, y, run);
                    run = Some((x, x + 1, shade));
                }
            }
        }
        draw(&mut paths, y, run);
    }
    let shade = |(at, path): (usize, String)| Shade { level: at + 1, range: scale.range(at, text), path };
    paths.into_iter().enumerate().filter(|(_, path)| !path.is_empty()).map(shade).collect()
}

fn draw(paths: &mut [String], y: usize, run: Option<(usize, usize, usize)>) {
    let Some((from, to, shade)) = run else { return };
    if let Some(path) = paths.get_mut(shade) {
        // Writing into a String cannot fail.
        let _ = write!(path, "M{from} {y}h{}v1H{from}z", to - from);
    }
}

/// Shades by order of magnitude: between the least and the largest value, steps of one factor.
struct Scale {
    least: u128,
    factor: f64,
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Shades on a screen.
impl Scale {
    fn of(values: impl Iterator<Item = u128>) -> Self {
        let (least, most) = values.fold((u128::MAX, 1), |(least, most), value| (least.min(value), most.max(value)));
        let least = least.min(most);
        Self { least, factor: (most as f64 / least as f64).powf(1.0 / SHADES as f64).max(1.000_001) }
    }

    fn shade(&self, value: u128) -> Option<usize> {
        let steps = (value as f64 / self.least as f64).ln() / self.factor.ln();
        (value > 0).then(|| (steps as usize).min(SHADES - 1))
    }

    fn range(&self, shade: usize, text: fn(u128) -> String) -> String {
        let bound = |step: usize| text((self.least as f64 * self.factor.powi(step as i32)).round() as u128);
        let (from, to) = (bound(shade), bound(shade + 1));
        if from == to { from } else { format!("{from} to {to}") }
    }
}

#[cfg(test)]
mod tests {
    use super::{SHADES, Scale};

    #[test]
    fn shades_span_what_was_seen() {
        let scale = Scale::of([10, 1000, 1_000_000].into_iter());
        assert_eq!([0, 10, 1_000_000].map(|value| scale.shade(value)), [None, Some(0), Some(SHADES - 1)]);
        assert_eq!(scale.range(0, |value| value.to_string()), "10 to 68");
        let one = Scale::of([7].into_iter());
        assert_eq!((one.shade(7), one.range(0, |value| value.to_string())), (Some(0), "7".to_owned()));
    }
}
