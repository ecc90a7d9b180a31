//! Converts again what is held of fields whose conversion changed: another
//! property type, labels in place of internal values, labels that were renamed.
//!
//! Nothing is read from the source: registers keep its texts. A page of them is
//! converted at a time, under one configuration, and its writing moves the
//! place on; so it goes on after a crash, and holds up nobody. Until it is done
//! users show what the former conversion made.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::steps::Steps;
use crate::{
    host::Host,
    model::{Cause, FieldId},
    pipeline::{
        conversion::{apply, converted, texts},
        feeding::Feeder,
        routing::{ConnectionRoute, FieldPlace},
    },
    plugin::{Fault, Outcome, StoredText, Version},
    store::{
        self, Tx,
        connections::Account,
        conversions::{HeldRegister, Pending},
    },
    telemetry::spawn_blocking,
};

/// Registers that are converted and written at once.
const PAGE: usize = 500;

/// Users for whom a transaction selects anew, unless one record alone reaches
/// more. The others come with the next page.
const USERS_MAX: usize = 1_000;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Plugin(#[from] Fault),
    #[error("the work ended abruptly")]
    Ended,
}

impl Error {
    /// Whether what is held of a field may be the cause: another may be converted.
    fn is_of_the_data(&self) -> bool {
        match self {
            Self::Store(error) => error.is_of_the_data(),
            Self::Plugin(_) => false,
            Self::Ended => true,
        }
    }
}

/// Converts until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let steps = Steps::new("what is held could not be converted again yet");
    steps.take(&host, &stop, || step(&host, &steps)).await;
}

/// Converts a page. Returns whether there was any.
async fn step(host: &Arc<Host>, steps: &Steps) -> Result<bool, Error> {
    let (running, passed) = (host.plugins.running(), steps.passed());
    let next = host
        .store
        .read(move |tx| tx.next_conversion(&running, &passed));
    let Some(field) = next.await? else {
        return Ok(false);
    };
    let page = page_of(host, field);
    steps.of(field.0, Error::is_of_the_data, page).await
}

/// Converts the next page of a field.
async fn page_of(host: &Arc<Host>, field: FieldId) -> Result<(), Error> {
    let page = host.store.read(move |tx| Page::load(tx, field));
    let Some(page) = page.await? else {
        return Ok(());
    };
    let connection = page.pending.connection;
    let span = tracing::error_span!("conversion", %connection, account = %page.account.key);
    match convert(host, page).instrument(span).await {
        // It is loaded anew.
        Err(Error::Store(store::Error::Outdated)) => return Ok(()),
        converted => converted?,
    }
    host.pipeline.notify_changed();
    Ok(())
}

async fn convert(host: &Arc<Host>, page: Page) -> Result<(), Error> {
    let serving = host.plugins.of(&page.account.connector)?.serving();
    let plugin = serving.of(page.route.trial.as_deref()).clone();
    let digest = plugin.digest().to_owned();
    let work = spawn_blocking(move || page.convert(&plugin).map(|done| (page, done)));
    let (page, done) = work.await.map_err(|_| Error::Ended)??;
    tracing::debug!(registers = done.len(), "what is held is converted again");
    let now = host.clock.now();
    let write = move |tx: &Tx<'_>| {
        let mut feeder = Feeder::new(tx, &page.route, Cause::LIVE, now);
        page.write(&mut feeder, &done, &digest)?;
        feeder.finish()?.save(tx, page.pending.connection, now)
    };
    match host.store.transact_behind(write).await {
        Err(error) => Err(host.pipeline.braked(error).await.into()),
        Ok(()) => Ok(()),
    }
}

/// Registers of one field, as they were under one configuration.
struct Page {
    pending: Pending,
    account: Account,
    route: ConnectionRoute,
    /// The field's index in the route's conversion, and its place.
    field: usize,
    place: FieldPlace,
    held: Vec<HeldRegister>,
}

impl Page {
    fn load(tx: &Tx<'_>, field: FieldId) -> Result<Option<Self>, store::Error> {
        let Some(pending) = tx.pending_conversion(field)? else {
            return Ok(None);
        };
        let route = ConnectionRoute::load(tx, pending.connection)?;
        let field = route
            .fields
            .iter()
            .position(|place| route.field(*place).id == pending.field)
            .ok_or(store::Error::NotFound("field"))?;
        let place = route.fields[field];
        let object_type = &route.mappings[place.mapping].object_type;
        let held = tx.registers_to_convert(&pending, object_type, route.field(place), PAGE)?;
        Ok(Some(Self {
            account: tx.account(pending.account)?,
            pending,
            field,
            place,
            held,
            route,
        }))
    }

    /// Converts as much of the page as the plugin can at once. A register that
    /// it cannot convert even by itself stays as it is.
    fn convert(&self, plugin: &Version) -> Result<Vec<Option<Vec<Outcome>>>, Fault> {
        let mut held = self.held.as_slice();
        if held.is_empty() {
            return Ok(Vec::new());
        }
        loop {
            match self.outcomes(plugin, held) {
                Err(fault) if !fault.is_retryable() && held.len() > 1 => {
                    held = &held[..held.len() / 2];
                }
                Err(fault) if !fault.is_retryable() => {
                    tracing::warn!(%fault, "a value stays as the former conversion made it");
                    return Ok(vec![None]);
                }
                outcomes => return outcomes,
            }
        }
    }

    fn outcomes(
        &self,
        plugin: &Version,
        held: &[HeldRegister],
    ) -> Result<Vec<Option<Vec<Outcome>>>, Fault> {
        let asked: Vec<StoredText> = held
            .iter()
            .flat_map(|held| texts(&held.register))
            .map(|text| StoredText {
                field: self.field,
                text: text.to_owned(),
            })
            .collect();
        let mut outcomes = plugin
            .convert_stored(&asked, &self.route.conversion)?
            .into_iter();
        Ok(held
            .iter()
            .map(|held| {
                let count = texts(&held.register).count();
                Some(outcomes.by_ref().take(count).collect())
            })
            .collect())
    }

    /// Writes what a version converted, up to a register that changed meanwhile: it
    /// begins the next page.
    fn write(
        &self,
        feeder: &mut Feeder<'_, '_>,
        done: &[Option<Vec<Outcome>>],
        plugin: &str,
    ) -> Result<(), store::Error> {
        let tx = feeder.tx;
        let Account {
            id, configuration, ..
        } = self.account;
        if !tx.is_configuration(id, configuration)? {
            return Err(store::Error::Outdated);
        }
        if self.held.is_empty() {
            return tx.converted(self.pending.field, None);
        }
        let mut up_to = None;
        for (held, outcomes) in self.held.iter().zip(done) {
            if let Some(outcomes) = outcomes {
                let again = converted(&held.register, outcomes.iter().cloned());
                if !apply(feeder, self.place, held, &again, plugin)? {
                    break;
                }
            }
            up_to = Some(&held.record);
            if feeder.touched() >= USERS_MAX {
                break;
            }
        }
        match up_to {
            Some(record) => tx.converted(self.pending.field, Some(record)),
            None => Ok(()),
        }
    }
}
