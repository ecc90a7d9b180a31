//! Brings the journal's files into the event log, one after the other.
//!
//! A file's entries and the place behind it are appended in one transaction of
//! the log: killed at any instant, the reader goes on behind what is in the log.
//! At worst it takes what it had not appended yet once more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{Access, Error, catch_up};
use crate::{
    host::Host,
    hubspot::{self, journal},
    log::{Cursor, Entry, EntryKind, Lane},
    model::{AccountKey, Timestamp},
    plugin::{BodyDescription, enclose, split},
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

/// Bytes of an account's events that one entry of the log takes: as many as a
/// large delivery has, so that an account's thousands of events wait their turn
/// as if they had been pushed.
const ENTRY_BYTES_MAX: usize = 32 * 1024;

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
    let mut pause = PAUSE;
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
        let wait = match step {
            // Whether it goes well is known at the end: it may begin anew again.
            Ok(Next::AtOnce) => continue,
            Ok(Next::Later) => {
                pause = PAUSE;
                POLL_EVERY
            }
            Ok(Next::Anew) => grown(&mut pause),
            Err(error) => {
                let now = host.clock.now();
                host.journal.failed(Subject::Reading, &error, now).await;
                let told = error.retry_at().map(|moment| moment.since(now));
                told.unwrap_or_default().max(grown(&mut pause))
            }
        };
        tokio::select! {
            () = host.clock.sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The present pause; the next is longer.
fn grown(pause: &mut Duration) -> Duration {
    let present = *pause;
    *pause = (present * 2).min(PAUSE_MAX);
    present
}

impl Reader<'_> {
    /// Takes the next file, where there is one.
    async fn step(&mut self) -> Result<Next, Error> {
        let host = self.host;
        let routing = host.pipeline.routing().await?;
        // Nobody to tell anything of.
        let is_idle = routing.accounts().next().is_none();
        if is_idle || !host.disk.room().is_enough() {
            return Ok(Next::Later);
        }
        let plugin = host.plugins.active();
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
        let Some(route) = routing.account(account) else {
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
        let found = self
            .host
            .journal
            .found(Subject::Gap, State::Failing(reason), now);
        found.await?;
        let routing = self.host.pipeline.routing().await?;
        catch_up(self.host, routing.accounts()).await?;
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

/// What a file becomes.
#[derive(Debug)]
struct Taken {
    /// Its events, in entries of one account each.
    entries: Vec<Entry>,
    /// The accounts that the app was uninstalled from, and when.
    uninstalled: Vec<(AccountKey, Timestamp)>,
}

/// Splits a file by account, so that each account's events wait in its own lane. A
/// file that cannot be split is one entry, which the pipeline sets aside.
fn taken(at: &BodyDescription, body: &Bytes, received_at: Timestamp) -> Taken {
    let entry = |lane, body| Entry {
        kind: EntryKind::JournalFile,
        lane,
        received_at,
        body,
    };
    let mut taken = Taken {
        entries: Vec::new(),
        uninstalled: Vec::new(),
    };
    let Ok(elements) = split(body, at) else {
        taken.entries.push(entry(Lane::default(), body.clone()));
        return taken;
    };
    let mut accounts: BTreeMap<Option<AccountKey>, Vec<&[u8]>> = BTreeMap::new();
    for element in elements {
        if let Some(account) = &element.account {
            let ended_at = journal::uninstalled_at(element.bytes);
            let ended = ended_at.map(|moment| (account.clone(), moment));
            taken.uninstalled.extend(ended);
        }
        let own = accounts.entry(element.account).or_default();
        own.push(element.bytes);
    }
    for (account, events) in accounts {
        let lane = account.as_ref().map(lane).unwrap_or_default();
        for part in parts(&events) {
            let body = enclose(at, part.iter().copied());
            taken.entries.push(entry(lane, body.into()));
        }
    }
    taken
}

/// The lane of an account: its id, as intake has it.
fn lane(account: &AccountKey) -> Lane {
    account.as_str().parse().map(Lane).unwrap_or_default()
}

/// Events in their order, in parts of about the bytes that an entry takes.
fn parts<'a, 'e>(events: &'e [&'a [u8]]) -> impl Iterator<Item = &'e [&'a [u8]]> {
    let mut bytes = 0;
    events.chunk_by(move |event, _| {
        bytes += event.len();
        let is_more = bytes < ENTRY_BYTES_MAX;
        if !is_more {
            bytes = 0;
        }
        is_more
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> BodyDescription {
        let path = |name: &str| vec![name.to_owned()];
        BodyDescription {
            elements: path("journalEvents"),
            account: Some(path("portalId")),
            records: vec![path("objectId")],
        }
    }

    fn split_again(entry: &Entry) -> Vec<(Option<String>, Vec<u8>)> {
        let elements = split(&entry.body, &at()).expect("a file");
        let account = |key: AccountKey| key.as_str().to_owned();
        let each = elements.into_iter();
        each.map(|one| (one.account.map(account), one.bytes.to_vec()))
            .collect()
    }

    #[test]
    fn each_accounts_events_are_entries_of_its_own_lane_in_their_order() {
        let file = r#"{"offset":"a","journalEvents":[
            {"portalId":7,"objectId":1},{"portalId":8,"objectId":2},{"portalId":"7","objectId":3},
            {"objectId":4}],"publishedAt":"x"}"#;
        let taken = taken(&at(), &Bytes::from(file), Timestamp(5));
        assert!(taken.uninstalled.is_empty());
        let found: Vec<_> = taken
            .entries
            .iter()
            .map(|entry| (entry.lane.0, split_again(entry)))
            .collect();
        let event = |account: Option<&str>, bytes: &str| {
            (account.map(str::to_owned), bytes.as_bytes().to_vec())
        };
        let seven = vec![
            event(Some("7"), r#"{"portalId":7,"objectId":1}"#),
            event(Some("7"), r#"{"portalId":"7","objectId":3}"#),
        ];
        let eight = vec![event(Some("8"), r#"{"portalId":8,"objectId":2}"#)];
        let nobodys = vec![event(None, r#"{"objectId":4}"#)];
        assert_eq!(found, [(0, nobodys), (7, seven), (8, eight)]);
    }

    #[test]
    fn many_events_of_one_account_are_many_entries_and_none_is_lost() {
        let event = |id: usize| format!(r#"{{"portalId":7,"objectId":{id},"x":"{:0500}"}}"#, 0);
        let events: Vec<_> = (0..1_000).map(event).collect();
        let file = format!(r#"{{"journalEvents":[{}]}}"#, events.join(","));
        let taken = taken(&at(), &Bytes::from(file), Timestamp(5));
        let bytes: Vec<_> = taken.entries.iter().map(|entry| entry.body.len()).collect();
        assert!(bytes.len() > 10, "{bytes:?}");
        let largest = ENTRY_BYTES_MAX + 1_000;
        assert!(bytes.iter().all(|bytes| *bytes < largest), "{bytes:?}");
        let found = taken.entries.iter().flat_map(split_again);
        let found: Vec<_> = found.map(|(_, bytes)| bytes).collect();
        let events: Vec<_> = events.into_iter().map(String::into_bytes).collect();
        assert_eq!(found, events);
    }

    #[test]
    fn what_cannot_be_split_is_kept_whole() {
        let taken = taken(&at(), &Bytes::from_static(b"<html>"), Timestamp(5));
        assert_eq!(taken.entries.len(), 1);
        assert_eq!(taken.entries[0].body, "<html>");
        assert_eq!(taken.entries[0].lane, Lane::default());
    }
}
