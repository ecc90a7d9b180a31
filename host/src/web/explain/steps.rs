//! The steps of a story, until one ends it.

use super::{Stage, Standing, Step};

/// What is to be done where a record that was there before is missing.
pub(super) const FULL_SYNC: &str = "Run a full sync: it reads all records that can reach a user.";

/// The same of a source that only pushes: nothing but the source can tell it.
pub(super) const NEXT_PUSH: &str =
    "The next push of the record brings it; nothing can be read before.";

/// The steps of a story, in their order.
#[derive(Default)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    /// Adds the next step.
    pub fn add(
        &mut self,
        stage: Stage,
        standing: Standing,
        detail: impl Into<String>,
    ) -> &mut Step {
        self.0.push(Step {
            stage,
            standing,
            detail: detail.into(),
            remedy: None,
            at: None,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// The next step was done.
    pub fn done(&mut self, stage: Stage, detail: impl Into<String>) -> &mut Step {
        self.add(stage, Standing::Done, detail)
    }

    /// It ended at the next step.
    pub fn stop(&mut self, stage: Stage, detail: impl Into<String>, remedy: &str) -> &mut Step {
        let step = self.add(stage, Standing::Stopped, detail);
        step.remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
        step
    }

    /// All steps, those after the last as not reached.
    pub fn finish(mut self) -> Vec<Step> {
        let all = [
            Stage::Received,
            Stage::Parsed,
            Stage::Matched,
            Stage::Selected,
            Stage::Mapped,
            Stage::Written,
        ];
        for stage in all.into_iter().skip(self.0.len()) {
            self.add(stage, Standing::NotReached, "Not reached.");
        }
        self.0
    }
}
