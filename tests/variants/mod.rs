//! Captures made of the recorded fleet: other hosts with the same evidence, another time, lines that moved.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use fleetdiag::capture::{Capture, End, Limits, Run, Writer};
use fleetdiag::model::{Frame, Outcome, Stream, Target};
use prost::Message;

pub const FLEET: &str = "tests/fixtures/fleet.fdcap";

/// What a variant differs in.
pub struct Variant<'a> {
    /// Each target of the variant, and the recorded one whose evidence it has.
    pub targets: &'a [(&'a str, &'a str)],
    /// When it was taken.
    pub started: &'a str,
    /// Lines by which every location of `src/demo/` is further down.
    pub shift: u32,
}

impl Default for Variant<'_> {
    fn default() -> Self {
        Self { targets: &[], started: "2026-11-24T16:00:00Z", shift: 0 }
    }
}

/// Writes a variant of the recorded fleet into `directory`.
pub fn variant(directory: &Path, name: &str, variant: &Variant<'_>) -> PathBuf {
    let mut capture = Capture::open(Path::new(FLEET), Limits::default()).unwrap();
    let recorded: Vec<(Target, Outcome)> = capture.targets().map(|(t, o)| (t.clone(), o.clone())).collect();
    let mut picked: Vec<(Target, usize)> = variant
        .targets
        .iter()
        .map(|(name, evidence)| {
            let index = recorded.iter().position(|(target, _)| target.id.to_string() == *evidence).unwrap();
            let mut target = recorded[index].0.clone();
            target.id.host = name.parse().unwrap();
            (target, index)
        })
        .collect();
    picked.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    let run = Run {
        started: variant.started.parse().unwrap(),
        targets: picked.iter().map(|(target, _)| target.clone()).collect(),
        ..capture.run().clone()
    };
    let mut writer = Writer::create(&directory.join(name), &run).unwrap();
    for (place, (_, index)) in picked.into_iter().enumerate() {
        let spool = matches!(recorded[index].1, Outcome::Observed(_)).then(|| {
            let mut spool = writer.spool().unwrap();
            for frame in capture.frames(index).unwrap() {
                spool.push(&shifted(frame.unwrap(), variant.shift)).unwrap();
            }
            spool
        });
        writer.finish_target(place, spool, &recorded[index].1).unwrap();
    }
    writer.finish(End { interrupted: false }).unwrap()
}

fn shifted(mut frame: Frame, by: u32) -> Frame {
    if frame.stream != Stream::Updates || by == 0 {
        return frame;
    }
    let mut update = console_api::instrument::Update::decode(frame.bytes.clone()).unwrap();
    let tasks = update.task_update.iter_mut().flat_map(|update| &mut update.new_tasks);
    for location in tasks.filter_map(|task| task.location.as_mut()) {
        if location.file.as_deref().is_some_and(|file| file.contains("src/demo/")) {
            location.line = location.line.map(|line| line + by);
        }
    }
    frame.bytes = update.encode_to_vec().into();
    frame
}

/// Runs the program in a home of its own; returns its exit code, stdout and stderr.
pub fn fleetdiag(home: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(home, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The program in a home of its own.
pub fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    command.args(args).env("LC_ALL", "C.UTF-8").env("HOME", home).env("XDG_STATE_HOME", home.join("state"));
    command
}
