//! The two versions that a shadow runs, at its pace, and what becomes of their
//! passes. Nothing of it counts for or against either.

use std::{cell::Cell, sync::Arc};

use super::{
    compare::{self, Compared, Side},
    pace::Pace,
};
use crate::{
    log::Logged,
    pipeline::{
        prepare::{Overrun, Prepared, Purpose, prepare_by},
        routing::Routing,
    },
    plugin::{Fault, Serving, Version},
    store::shadows::Work,
};

/// The active version, and the one that shadows it.
#[derive(Clone, Debug)]
pub struct Both {
    /// The active version.
    pub active: Arc<Version>,
    /// The other one.
    pub candidate: Arc<Version>,
}

/// How often a version was asked, and how often that came to nothing.
#[derive(Debug, Default)]
struct Asked {
    passes: Cell<u64>,
    faults: Cell<u64>,
}

impl Both {
    /// What both make of entries of the log, compared. How often that came to nothing
    /// is counted, however it ends.
    pub fn compare(
        &self,
        routing: &Routing,
        entries: &[Logged],
        pace: &Pace,
        work: &mut Work,
    ) -> Result<Compared, Fault> {
        let (ours, theirs) = (Asked::default(), Asked::default());
        let active = prepared(&self.active, routing, entries, pace, &ours);
        let both = active.and_then(|active| {
            let candidate = prepared(&self.candidate, routing, entries, pace, &theirs)?;
            Ok((active, candidate))
        });
        work.passes = theirs.passes.get();
        work.faults = theirs.faults.get();
        work.active_faults = ours.faults.get();
        let (active, candidate) = both?;
        let compared = compare::compare(
            routing,
            side(&self.active, &active),
            side(&self.candidate, &candidate),
        );
        work.entries = entries.len() as u64;
        work.bytes = entries.iter().map(|entry| entry.body.len() as u64).sum();
        work.events = active.events;
        work.compared = compared.compared;
        Ok(compared)
    }
}

fn side<'a>(version: &'a Version, prepared: &'a Prepared) -> Side<'a> {
    Side {
        prepared,
        description: version.description(),
    }
}

/// What a version makes of entries.
fn prepared(
    version: &Arc<Version>,
    routing: &Routing,
    entries: &[Logged],
    pace: &Pace,
    asked: &Asked,
) -> Result<Prepared, Fault> {
    let serving = Serving::alone(version.clone());
    prepare_by(
        routing,
        &serving,
        entries,
        (Purpose::Shadow, Overrun::default()),
        &|version, pass| {
            pace.rest()?;
            let output = version.run_again(pass);
            asked.passes.set(asked.passes.get() + 1);
            if output.as_ref().is_err_and(Fault::is_the_plugins) {
                asked.faults.set(asked.faults.get() + 1);
            }
            output
        },
    )
}
