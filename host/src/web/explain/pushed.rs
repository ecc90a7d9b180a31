//! An explanation of what a source tells that only pushes: the same, but for who tells
//! it, and for what can be done where it has told nothing.

use super::Explanation;

/// What is to be done where something is missing: nothing but the source can tell it.
const NEXT_PUSH: &str = "The next push of the record brings it; nothing can be read before.";

/// What is told of HubSpot alone.
const NO_FULL_SYNC: &str = ", and no full sync has read it";

impl Explanation {
    /// The same, of the source that people call by that name.
    pub(super) fn pushed(mut self, label: &str) -> Self {
        let told = |text: &mut String| {
            *text = text.replace(NO_FULL_SYNC, "").replace("HubSpot", label);
        };
        told(&mut self.answer);
        for story in &mut self.stories {
            for step in &mut story.steps {
                told(&mut step.detail);
                if let Some(remedy) = &mut step.remedy {
                    match remedy.contains("full sync") {
                        true => NEXT_PUSH.clone_into(remedy),
                        false => told(remedy),
                    }
                }
            }
            for field in &mut story.fields {
                if let Some(at) = field.detail.find("Run a full sync") {
                    field.detail.replace_range(at.., NEXT_PUSH);
                }
                told(&mut field.detail);
            }
        }
        self
    }
}
