//! The two versions that a shadow runs, at its pace, and what becomes of their
//! passes. Nothing of it counts for or against either.

use std::{cell::Cell, sync::Arc};

use super::pace::Pace;
use crate::{
    log::Logged,
    pipeline::{
        compare::{self, Compared, Side},
        prepare::{Prepared, Purpose, prepare_by},
        routing::Routing,
    },
    plugin::{Fault, Version},
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

impl Both {
    /// What both make of entries of the log, compared.
    pub fn compare(
        &self,
        routing: &Routing,
        entries: &[Logged],
        pace: &Pace,
    ) -> Result<(Compared, Work), Fault> {
        let mut work = Work::default();
        let (active, _, active_faults) = prepared(&self.active, routing, entries, pace)?;
        let (candidate, passes, faults) = prepared(&self.candidate, routing, entries, pace)?;
        let compared = compare::compare(
            routing,
            side(&self.active, &active),
            side(&self.candidate, &candidate),
        );
        work.entries = entries.len() as u64;
        work.bytes = entries.iter().map(|entry| entry.body.len() as u64).sum();
        work.events = active.events;
        work.compared = compared.compared;
        (work.passes, work.faults) = (passes, faults);
        work.active_faults = active_faults;
        Ok((compared, work))
    }
}

fn side<'a>(version: &'a Version, prepared: &'a Prepared) -> Side<'a> {
    Side {
        prepared,
        description: version.description(),
    }
}

/// What a version makes of entries, its passes, and how many of these failed.
fn prepared(
    version: &Version,
    routing: &Routing,
    entries: &[Logged],
    pace: &Pace,
) -> Result<(Prepared, u64, u64), Fault> {
    let (passes, faults) = (Cell::new(0), Cell::new(0));
    let prepared = prepare_by(routing, version, entries, Purpose::Shadow, &|pass| {
        pace.rest()?;
        let output = version.run_again(pass);
        passes.set(passes.get() + 1);
        if output.as_ref().is_err_and(Fault::is_the_plugins) {
            faults.set(faults.get() + 1);
        }
        output
    })?;
    Ok((prepared, passes.get(), faults.get()))
}
