//! Which targets have their outcome. Every planned target gets exactly one, and so does everything that it turned out to be.

use super::{Event, Message, Progress, examine};
use crate::capture::{Spool, Writer};
use crate::model::{Failure, HostContext, Outcome, Reason, Sightings, Target, TargetId};

/// Writes outcomes into the capture as they come, and tells whoever watches.
pub(super) struct Ledger<'a> {
    capture: &'a mut Writer,
    on_event: &'a dyn Fn(Event),
    planned: Vec<Entry>,
    /// What was seen on the ways, where somebody asked.
    pub sightings: Sightings,
}

/// What one planned target still lacks.
struct Entry {
    /// What has no outcome yet: the planned target, or the containers that it stands for.
    open: Vec<Target>,
    /// Why one of them failed, if any did.
    failed: Option<Reason>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(capture: &'a mut Writer, on_event: &'a dyn Fn(Event)) -> Self {
        let entry = |target: &Target| Entry { open: vec![target.clone()], failed: None };
        let planned = capture.run().targets.iter().map(entry).collect();
        Self { capture, on_event, planned, sightings: Sightings::default() }
    }

    pub(super) fn take(&mut self, message: Message) -> std::io::Result<()> {
        match message {
            Message::Event(event) => (self.on_event)(event),
            Message::Seen(seen) => examine::note(&mut self.sightings, *seen),
            Message::Found { index, targets } => {
                if let Some(entry) = self.planned.get_mut(index) {
                    entry.open = targets;
                }
            }
            Message::Done { index, id, spool, outcome, context } => {
                let spool = spool.filter(|_| matches!(outcome, Outcome::Observed(_))).map(|spool| *spool);
                self.finish(index, &id, spool, &outcome, context.map(|context| *context))?;
            }
        }
        Ok(())
    }

    pub(super) fn fail_the_rest(&mut self, failure: &Failure) -> std::io::Result<()> {
        let outcome = Outcome::Failed(failure.clone());
        for index in 0..self.planned.len() {
            while let Some(id) = self.planned[index].open.first().map(|target| target.id.clone()) {
                self.finish(index, &id, None, &outcome, None)?;
            }
        }
        Ok(())
    }

    fn finish(
        &mut self,
        index: usize,
        id: &TargetId,
        spool: Option<Spool>,
        outcome: &Outcome,
        context: Option<HostContext>,
    ) -> std::io::Result<()> {
        let Some(entry) = self.planned.get_mut(index) else { return Ok(()) };
        let Some(at) = entry.open.iter().position(|target| target.id == *id) else { return Ok(()) };
        let target = entry.open.remove(at);
        if let Outcome::Failed(failure) = outcome {
            entry.failed = Some(failure.reason);
        }
        let (last, failed) = (entry.open.is_empty(), entry.failed);
        // The planned place is filled last, so that a run that is killed before shows it as missing.
        let place = last.then_some(index);
        self.capture.finish_found(place, &target, spool, outcome, context)?;
        if last {
            (self.on_event)(Event { target: index, progress: Progress::Done { failed } });
        }
        Ok(())
    }
}
