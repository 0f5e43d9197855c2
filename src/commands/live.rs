//! Outputs that say something while hosts are still being observed: JSON lines.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};

use anyhow::Context;

use super::emit::{emit, emit_one, layout_for};
use crate::cli::{Cli, OutputSpec, ReportArgs};
use crate::diagnose::Diagnosis;
use crate::model::{Reason, TargetId};
use crate::report::{self, Format};

/// The open outputs in [`Format::Ndjson`]. A file among them is written in place, since it is read while it grows.
#[derive(Default)]
pub(super) struct Live {
    sinks: RefCell<Vec<Box<dyn Write>>>,
}

impl Live {
    /// Opens every such output that was asked for.
    pub(super) fn open(args: &ReportArgs) -> anyhow::Result<Self> {
        let sinks = args.output.iter().filter(|output| is_live(output)).map(sink).collect::<Result<_, _>>()?;
        Ok(Self { sinks: RefCell::new(sinks) })
    }

    /// Tells of a target that has its outcome.
    pub(super) fn ended(&self, id: &TargetId, failed: Option<Reason>) {
        // A reader that has gone away is no reason to stop observing; writing the judgement says so.
        let _ = self.write(&report::ended(id, failed));
    }

    /// Writes every report that was asked for, and the rest of the lines.
    pub(super) fn emit(&self, diagnosis: &Diagnosis, args: &ReportArgs, cli: &Cli) -> anyhow::Result<()> {
        if self.sinks.borrow().is_empty() {
            return emit(diagnosis, args, cli);
        }
        for output in args.output.iter().filter(|output| !is_live(output)) {
            emit_one(diagnosis, output, args, cli)?;
        }
        let options = layout_for(None, None, None, cli);
        match self.write(&report::render(Format::Ndjson, diagnosis, &options)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write the JSON lines"),
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut sinks = self.sinks.borrow_mut();
        sinks.iter_mut().try_for_each(|sink| sink.write_all(text.as_bytes()).and_then(|()| sink.flush()))
    }
}

fn is_live(output: &OutputSpec) -> bool {
    output.format == Format::Ndjson
}

fn sink(output: &OutputSpec) -> anyhow::Result<Box<dyn Write>> {
    match &output.path {
        None => Ok(Box::new(io::stdout())),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
            Ok(Box::new(file))
        }
    }
}
