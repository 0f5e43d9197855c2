//! Who waits for what, and who probably holds it: three columns of boxes, as numbers for the template.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diagnose::Wait;
use crate::model::Site;

const ROW: usize = 44;

#[derive(Serialize)]
pub(super) struct Graph {
    height: usize,
    boxes: Vec<Node>,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Node {
    column: usize,
    y: usize,
    title: String,
    text: String,
}

#[derive(Serialize)]
struct Line {
    from: usize,
    y1: usize,
    y2: usize,
    width: f64,
    label: String,
    guess: bool,
}

/// Absent when nobody waits.
pub(super) fn graph(waits: &[Wait]) -> Option<Graph> {
    let (mut boxes, mut lines) = (Vec::new(), Vec::new());
    let mut used = [0; 3];
    let mut known: BTreeMap<(usize, &Site), usize> = BTreeMap::new();
    let mut add = |boxes: &mut Vec<Node>, column: usize, title: String, text: String| {
        let y = used.get(column).copied().unwrap_or(0) * ROW;
        if let Some(used) = used.get_mut(column) {
            *used += 1;
        }
        boxes.push(Node { column, y, title, text });
        y
    };
    for wait in waits {
        let place = wait.location.as_ref().map_or_else(|| "unknown location".to_owned(), ToString::to_string);
        let resource = add(&mut boxes, 1, wait.concrete_type.clone(), place);
        for (site, tasks) in &wait.waiters {
            let y = *known.entry((0, site)).or_insert_with(|| add(&mut boxes, 0, name(site), place_of(site)));
            let label = format!("{tasks} waiting, the longest for {:.1?}", wait.longest);
            lines.push(Line { from: 0, y1: y, y2: resource, width: width(*tasks), label, guess: false });
        }
        if let Some(site) = &wait.probable_holder {
            let y = *known.entry((2, site)).or_insert_with(|| add(&mut boxes, 2, name(site), place_of(site)));
            lines.push(Line {
                from: 1,
                y1: resource,
                y2: y,
                width: 1.5,
                label: "probably held by".to_owned(),
                guess: true,
            });
        }
    }
    let rows = used.into_iter().max().unwrap_or(0);
    (rows > 0).then_some(Graph { height: rows * ROW, boxes, lines })
}

#[allow(clippy::cast_precision_loss)] // A line on a screen.
fn width(tasks: u64) -> f64 {
    (1.0 + (tasks as f64).log2()).clamp(1.0, 8.0)
}

fn name(site: &Site) -> String {
    site.name.clone().or_else(|| site.fn_name.clone()).unwrap_or_else(|| site.kind.as_str().to_owned())
}

fn place_of(site: &Site) -> String {
    site.location.as_ref().map_or_else(|| "unknown location".to_owned(), ToString::to_string)
}
