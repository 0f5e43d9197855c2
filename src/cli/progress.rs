//! What a person sees while hosts are observed: a line per host in flight, and one for all of them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::collect::{Event, Progress};

/// Lines for hosts in flight; more of them are only counted.
const MAX_LINES: usize = 12;

/// Draws events on stderr. Everything it shows may be lost; the report is complete without it.
pub struct Display {
    names: Vec<String>,
    width: usize,
    state: Mutex<State>,
}

struct State {
    lines: MultiProgress,
    overall: ProgressBar,
    in_flight: BTreeMap<usize, Option<ProgressBar>>,
    failed: u64,
}

impl Display {
    /// A display for targets of these names; draws nothing when `quiet`, or when stderr is no terminal.
    #[must_use]
    pub fn new(names: Vec<String>, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(12) };
        let lines = MultiProgress::with_draw_target(target);
        let overall = lines.add(ProgressBar::new(names.len() as u64));
        overall.set_style(style("{bar:24.cyan/dim} {pos}/{len} hosts  {msg}  {elapsed}"));
        overall.enable_steady_tick(Duration::from_millis(250));
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(40);
        Self { names, width, state: Mutex::new(State { lines, overall, in_flight: BTreeMap::new(), failed: 0 }) }
    }

    /// Takes in one event.
    pub fn show(&self, event: &Event) {
        // A poisoned display only draws less.
        let Ok(mut state) = self.state.lock() else { return };
        match &event.progress {
            Progress::Done { failed, .. } => state.finish(event.target, failed.is_some()),
            Progress::Stage(stage) => state.line(event.target, &self.label(event.target), stage.as_str()),
            Progress::Watching => state.line(event.target, &self.label(event.target), "watching"),
        }
    }

    /// Removes everything that was drawn.
    pub fn clear(&self) {
        if let Ok(state) = self.state.lock() {
            state.overall.finish_and_clear();
            // Failing to clear a terminal that went away is nobody's problem.
            let _ = state.lines.clear();
        }
    }

    fn label(&self, target: usize) -> String {
        let name = self.names.get(target).map_or("", String::as_str);
        format!("{name:width$}", width = self.width)
    }
}

impl State {
    fn line(&mut self, target: usize, label: &str, doing: &str) {
        let drawn = self.in_flight.values().flatten().count();
        let (lines, overall) = (&self.lines, &self.overall);
        let bar = self.in_flight.entry(target).or_insert_with(|| {
            (drawn < MAX_LINES).then(|| {
                let bar = lines.insert_before(overall, ProgressBar::new_spinner());
                bar.set_style(style("{spinner:.cyan} {prefix}  {msg:.dim}"));
                bar.enable_steady_tick(Duration::from_millis(120));
                bar.set_prefix(label.to_owned());
                bar
            })
        });
        if let Some(bar) = bar {
            bar.set_message(doing.to_owned());
        }
        self.summarize();
    }

    fn finish(&mut self, target: usize, failed: bool) {
        if let Some(Some(bar)) = self.in_flight.remove(&target) {
            bar.finish_and_clear();
        }
        self.failed += u64::from(failed);
        self.overall.inc(1);
        self.summarize();
    }

    fn summarize(&self) {
        let mut parts = vec![format!("{} in flight", self.in_flight.len())];
        if self.failed > 0 {
            parts.push(format!("{} failed", self.failed));
        }
        self.overall.set_message(parts.join(", "));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}
