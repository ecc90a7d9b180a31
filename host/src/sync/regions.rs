//! Keeps the regions that HubSpot names, so that no start pays for them again.

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    host::Host,
    hubspot::{CONNECTOR, Region},
    model::AccountKey,
    store,
};

/// Keeps what is learnt until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut learnt = host.hubspot.regions();
    // What was learnt before this began counts too.
    learnt.mark_changed();
    let mut kept = HashMap::new();
    loop {
        tokio::select! {
            Ok(()) = learnt.changed() => {}
            () = stop.cancelled() => return,
        }
        let mut regions = learnt.borrow_and_update().clone();
        regions.retain(|account, region| kept.get(account) != Some(region));
        if regions.is_empty() {
            continue;
        }
        match keep(&host, regions.clone()).await {
            Ok(()) => kept.extend(regions),
            Err(error) => tracing::warn!(%error, "regions could not be kept"),
        }
    }
}

async fn keep(host: &Host, regions: HashMap<AccountKey, Region>) -> Result<(), store::Error> {
    host.store
        .transact(move |tx| {
            for (account, region) in &regions {
                tx.set_account_region(CONNECTOR, account, region.as_str())?;
            }
            Ok(())
        })
        .await
}
