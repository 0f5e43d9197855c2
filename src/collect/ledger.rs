//! Which targets have their outcome. Every planned target gets exactly one.

use super::{Event, Message, Progress};
use crate::capture::{Spool, Writer};
use crate::model::{Failure, Outcome};

/// Writes outcomes into the capture as they come, and tells whoever watches.
pub(super) struct Ledger<'a> {
    capture: &'a mut Writer,
    on_event: &'a dyn Fn(Event),
    done: Vec<bool>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(capture: &'a mut Writer, on_event: &'a dyn Fn(Event)) -> Self {
        let done = vec![false; capture.run().targets.len()];
        Self { capture, on_event, done }
    }

    pub(super) fn spool(&self) -> std::io::Result<Spool> {
        self.capture.spool()
    }

    pub(super) fn take(&mut self, message: Message) -> std::io::Result<()> {
        match message {
            Message::Event(event) => (self.on_event)(event),
            Message::Done { index, spool, outcome } => {
                let spool = matches!(outcome, Outcome::Observed(_)).then_some(*spool);
                self.finish(index, spool, &outcome)?;
            }
        }
        Ok(())
    }

    pub(super) fn fail_the_rest(&mut self, failure: &Failure) -> std::io::Result<()> {
        let outcome = Outcome::Failed(failure.clone());
        let rest: Vec<_> = (0..self.done.len()).filter(|&index| !self.done[index]).collect();
        rest.into_iter().try_for_each(|index| self.finish(index, None, &outcome))
    }

    fn finish(&mut self, index: usize, spool: Option<Spool>, outcome: &Outcome) -> std::io::Result<()> {
        self.capture.finish_target(index, spool, outcome)?;
        self.done[index] = true;
        let failed = match outcome {
            Outcome::Failed(failure) => Some(failure.reason),
            Outcome::Observed(_) => None,
        };
        (self.on_event)(Event { target: index, progress: Progress::Done { failed } });
        Ok(())
    }
}
