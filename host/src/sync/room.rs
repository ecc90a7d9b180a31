//! Looks at the disk once a second: lets deliveries in or keeps them out, and
//! lets go of what the log keeps for replays where room becomes short.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    disk::{Reusable, Room},
    host::Host,
    log,
    model::Timestamp,
    store,
};

/// How often the disk is looked at. At a few hundred megabytes a second, no
/// flood fills the reserve meanwhile.
const EVERY: Duration = Duration::from_secs(1);

/// Why the disk could not be looked at. It is tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the disk does not say how much room it has: {0}")]
    Disk(#[from] std::io::Error),
}

/// Looks until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut said = false;
    while !stop.is_cancelled() {
        match keep_room(&host, &stop).await {
            Ok(()) => said = false,
            Err(error) if said => tracing::debug!(%error, "the disk was not looked after"),
            Err(error) => {
                said = true;
                tracing::warn!(%error, "the disk could not be looked after; it is tried again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn look(host: &Host) -> Result<Room, Error> {
    let (log_bytes, store_bytes) = (
        host.log.reusable_bytes().await,
        host.store.reusable_bytes().await,
    );
    // The disk is looked at, whatever is wrong with a file.
    let room = host.disk.look(Reusable {
        log_bytes: *log_bytes.as_ref().unwrap_or(&0),
        store_bytes: *store_bytes.as_ref().unwrap_or(&0),
    })?;
    log_bytes?;
    store_bytes?;
    Ok(room)
}

async fn keep_room(host: &Host, stop: &CancellationToken) -> Result<(), Error> {
    let mut room = look(host).await?;
    while !room.is_ample() && !stop.is_cancelled() {
        let place = host.store.synced_log_position().await?;
        // Whatever moment it has: the clock may have been ahead.
        if host.log.trim(place, Timestamp::MAX).await? == 0 {
            break;
        }
        room = look(host).await?;
    }
    // A monitor may send nothing more to a host that is not ready: the host
    // itself finds out when it is again.
    if host.disk.is_failing() && room.is_enough() {
        host.log.probe().await?;
        host.disk.append_worked();
    }
    Ok(())
}
