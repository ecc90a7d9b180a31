//! Brings the journal's files into the event log, one after the other.
//!
//! A file's entries and the place behind it are appended in one transaction of
//! the log: killed at any instant, the reader goes on behind what is in the log.
//! At worst it takes what it had not appended yet once more.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{
    super::runs::schedule::UnderWay,
    Access, Error, GAP_SEEN, catch_up,
    files::{Taken, taken},
};
use crate::{
    host::Host,
    hubspot::{self, CONNECTOR},
    log::Cursor,
    model::{AccountKey, Timestamp},
    plugin::BodyDescription,
    store::journal::{State, Subject},
    telemetry::spawn_blocking,
};

/// How long to wait when there is no more. HubSpot says a file's events within
/// seconds, and exempts the journal from all limits; so this is what the journal
/// may be behind push, and a few calls a minute.
const POLL_EVERY: Duration = Duration::from_secs(3);

/// How long to wait after a failure, and twice as long after each further.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after failures: how soon a scope that was missing is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long HubSpot keeps the journal (HubSpot: webhooks journal guide).
const KEPT_DAYS: u32 = 3;

/// What a step came to.
enum Next {
    /// There may be more.
    AtOnce,
    /// There is no more, or nothing can be taken in now.
    Later,
    /// What comes next was lost: it begins anew with the oldest file.
    Anew,
}

/// Where the reader is.
struct Reader<'a> {
    host: &'a Arc<Host>,
    access: &'a Access,
    /// The cursor's name: another app's journal is another one.
    cursor: String,
    /// The place behind the last file; none before the first.
    offset: Option<String>,
}

/// Reads until it is told to stop.
pub(super) async fn run(host: &Arc<Host>, access: &Access, stop: &CancellationToken) {
    let mut reader = Reader {
        host,
        access,
        cursor: format!("hubspot-journal/{}", access.app().client_id),
        offset: None,
    };
    let mut is_begun = false;
    let mut pace = Pace::default();
    while !stop.is_cancelled() {
        let step = async {
            if !is_begun {
                reader.offset = host.log.cursor(&reader.cursor).await?;
            }
            reader.step().await
        };
        let step = tokio::select! {
            step = step => step,
            () = stop.cancelled() => return,
        };
        is_begun |= step.is_ok();
        if let Err(error) = &step {
            let now = host.clock.now();
            host.journal.failed(Subject::Reading, error, now).await;
        }
        let Some(wait) = pace.wait(&step, host.clock.now()) else {
            continue;
        };
        tokio::select! {
            () = host.clock.sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// How long the reader waits between its steps.
struct Pace {
    /// After the next failure.
    pause: Duration,
    /// Whether the place was lost, and files alone were taken since.
    begins_anew: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: PAUSE,
            begins_anew: false,
        }
    }
}

impl Pace {
    /// The wait after a step; none before the next file.
    fn wait(&mut self, step: &Result<Next, Error>, now: Timestamp) -> Option<Duration> {
        let wait = match step {
            Ok(Next::AtOnce) => {
                // A place that is lost again behind each first file is asked for
                // less and less often.
                if !self.begins_anew {
                    self.pause = PAUSE;
                }
                return None;
            }
            Ok(Next::Later) => {
                self.pause = PAUSE;
                POLL_EVERY
            }
            Ok(Next::Anew) => self.grown(),
            Err(error) => {
                let told = error.retry_at().map(|moment| moment.since(now));
                told.unwrap_or_default().max(self.grown())
            }
        };
        self.begins_anew = matches!(step, Ok(Next::Anew));
        Some(wait)
    }

    /// The present pause; the next is longer.
    fn grown(&mut self) -> Duration {
        let present = self.pause;
        self.pause = (present * 2).min(PAUSE_MAX);
        present
    }
}

impl Reader<'_> {
    /// Takes the next file, where there is one.
    async fn step(&mut self) -> Result<Next, Error> {
        let host = self.host;
        let routing = host.pipeline.routing().await?;
        // Nobody to tell anything of.
        let is_idle = routing.accounts_of(CONNECTOR).next().is_none();
        if is_idle || !host.disk.room().is_enough() {
            return Ok(Next::Later);
        }
        let plugin = host.plugins.active(CONNECTOR)?;
        let at = plugin.description().journal_file.clone();
        let at = at.ok_or(Error::NotDescribed)?;
        let offset = self.offset.clone();
        let next = self
            .access
            .call(|client, token| {
                let offset = offset.clone();
                async move { client.journal_next(&token, offset.as_deref()).await }
            })
            .await;
        let entry = match next {
            Err(Error::HubSpot(error)) if offset.is_some() && is_lost(&error) => {
                self.begin_anew().await?;
                return Ok(Next::Anew);
            }
            next => next?,
        };
        let next = match entry {
            None => Next::Later,
            Some(entry) if self.offset.as_ref() == Some(&entry.current_offset) => {
                return Err(Error::NoProgress);
            }
            Some(entry) => {
                let body = host.hubspot.journal_file(&entry).await;
                let body = body.map_err(Error::File)?;
                self.take(at, body, entry.current_offset).await?;
                Next::AtOnce
            }
        };
        let now = host.clock.now();
        let found = host.journal.found(Subject::Reading, State::Works, now);
        found.await?;
        Ok(next)
    }

    /// Takes a file into the log, and what it says of the app itself to heart.
    async fn take(&mut self, at: BodyDescription, body: Bytes, place: String) -> Result<(), Error> {
        let host = self.host;
        let received_at = host.clock.now();
        let Taken {
            entries,
            uninstalled,
        } = spawn_blocking(move || taken(&at, &body, received_at))
            .await
            .map_err(|_| Error::Ended)?;
        // Before the place moves, so that none is passed over; it does no harm twice.
        for (account, at) in uninstalled {
            self.uninstalled(&account, at).await?;
        }
        let cursor = Cursor {
            name: self.cursor.clone(),
            place: place.clone(),
        };
        let appended = host.log.append_all(entries, cursor).await;
        appended.inspect_err(|error| host.disk.append_failed(error))?;
        self.offset = Some(place);
        Ok(())
    }

    async fn uninstalled(&self, account: &AccountKey, at: Timestamp) -> Result<(), Error> {
        let host = self.host;
        let routing = host.pipeline.routing().await?;
        let Some(route) = routing.account(CONNECTOR, account) else {
            return Ok(());
        };
        match host.grants.uninstalled(route.id, at).await {
            Ok(()) => host.pipeline.notify_changed(),
            Err(error) if error.is_retryable() => return Err(error.into()),
            // It holds up nobody else's events.
            Err(error) => tracing::error!(%error, %account, "an uninstallation could not be kept"),
        }
        Ok(())
    }

    /// Begins with the oldest file again, for what comes after the place is kept no
    /// longer. Where that is not given either, it is refused, and nothing is lost.
    async fn begin_anew(&mut self) -> Result<(), Error> {
        let oldest = self
            .access
            .call(|client, token| async move { client.journal_next(&token, None).await });
        oldest.await?;
        let now = self.host.clock.now();
        let reason = format!(
            "at {now} it was found to be unread for longer than the {KEPT_DAYS} days that HubSpot \
             keeps it: changes that it alone told of before are missing until the next catch-up"
        );
        tracing::error!(reason, "HubSpot's journal was not read in time");
        // A place that is refused again and again would keep a catch-up from ever
        // ending that takes longer than the pauses between.
        let under_way = match self.host.journal.gap() {
            Some((found_at, _)) if now.since(found_at) < GAP_SEEN => UnderWay::GoesOn,
            _ => UnderWay::BeginsAnew,
        };
        let routing = self.host.pipeline.routing().await?;
        catch_up(self.host, routing.accounts_of(CONNECTOR), under_way).await?;
        let found = self
            .host
            .journal
            .found(Subject::Gap, State::Failing(reason), now);
        found.await?;
        self.offset = None;
        Ok(())
    }
}

/// Whether HubSpot's answer may mean that a place in the journal is kept no longer.
/// It documents none; 404 was seen for other such places.
fn is_lost(error: &hubspot::Error) -> bool {
    match error {
        hubspot::Error::NotFound(_) => true,
        hubspot::Error::Refused(fault) => matches!(fault.status, 400 | 410),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    /// The seconds that each of the steps is waited behind; none before the next file.
    fn waits(steps: impl IntoIterator<Item = Result<Next, Error>>) -> Vec<Option<u64>> {
        let mut pace = Pace::default();
        let waits = steps.into_iter().map(|step| pace.wait(&step, NOW));
        waits.map(|wait| Some(wait?.as_secs())).collect()
    }

    fn failed() -> Result<Next, Error> {
        Err(Error::NoProgress)
    }

    #[test]
    fn failures_are_waited_behind_longer_each_time_until_a_file_is_taken() {
        let waited = waits([failed(), failed(), failed(), Ok(Next::AtOnce), failed()]);
        assert_eq!(waited, [Some(2), Some(4), Some(8), None, Some(2)]);
        let waited = waits([failed(), failed(), Ok(Next::Later), failed()]);
        assert_eq!(waited, [Some(2), Some(4), Some(3), Some(2)]);
        let many = waits((0..12).map(|_| failed()));
        assert_eq!(many.last(), Some(&Some(300)));
    }

    #[test]
    fn a_place_that_is_lost_behind_each_first_file_is_asked_for_less_and_less_often() {
        let (anew, file) = (|| Ok(Next::Anew), || Ok(Next::AtOnce));
        let waited = waits([anew(), file(), anew(), file(), file(), anew()]);
        let expected = [Some(2), None, Some(4), None, None, Some(8)];
        assert_eq!(waited, expected);
        // Until there is no more, or it fails otherwise.
        let waited = waits([anew(), file(), Ok(Next::Later), file(), anew()]);
        assert_eq!(waited, [Some(2), None, Some(3), None, Some(2)]);
        let waited = waits([anew(), file(), failed(), file(), anew()]);
        assert_eq!(waited, [Some(2), None, Some(4), None, Some(2)]);
    }
}
