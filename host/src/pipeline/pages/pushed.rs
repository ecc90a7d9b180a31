//! Records that were pushed whole, applied as a page is that was read.

use super::{Asked, apply_record};
use crate::{
    model::{Cause, Timestamp},
    pipeline::{
        feeding::Feeder,
        prepare::{Purpose, Pushed},
        report::Origin,
    },
    secrets::Keys,
    store::{self, Tx},
};

/// Applies records that were pushed to each connection.
pub fn apply_pushed(
    tx: &Tx<'_>,
    keys: &Keys,
    pushed: &Pushed,
    origin: &Origin,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), store::Error> {
    for (route, records) in &pushed.connections {
        let _in_span = tracing::error_span!("connection", connection = %route.id).entered();
        tracing::debug!(records = records.len(), "pushed records are applied");
        let mut feeder = Feeder::new(tx, route, Cause::LIVE, now);
        if purpose == Purpose::Replay {
            feeder = feeder.told_again();
        }
        feeder.report.told_by(origin.word, records.len());
        let origin = origin.of(route);
        for (moment, read) in records {
            let object_type = &pushed.object_type;
            let asked = Asked::default();
            apply_record(
                &mut feeder,
                keys,
                object_type,
                read,
                *moment,
                asked,
                &origin,
            )?;
        }
        feeder.finish()?.save(tx, route.id, now)?;
    }
    Ok(())
}
