//! What a file of the journal becomes in the event log.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    hubspot::{CONNECTOR, journal},
    log::{Entry, EntryKind, Lane},
    model::{AccountKey, Timestamp},
    plugin::{BodyDescription, enclose, split},
    sources::lane,
};

/// Bytes of an account's events that one entry of the log takes: as many as a
/// large delivery has, so that an account's thousands of events wait their turn
/// as if they had been pushed.
const ENTRY_BYTES_MAX: usize = 32 * 1024;

/// What a file becomes.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its events, in entries of one account each.
    pub(super) entries: Vec<Entry>,
    /// The accounts that the app was uninstalled from, and when.
    pub(super) uninstalled: Vec<(AccountKey, Timestamp)>,
}

/// Splits a file by account, so that each account's events wait in its own lane. A
/// file that cannot be split is one entry, which the pipeline sets aside.
pub(super) fn taken(at: &BodyDescription, body: &Bytes, received_at: Timestamp) -> Taken {
    let entry = |lane, body| Entry {
        kind: EntryKind::JournalFile,
        connector: CONNECTOR.into(),
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
        let lane = lane(CONNECTOR, account.as_ref());
        for part in parts(&events) {
            let body = enclose(at, part.iter().copied());
            taken.entries.push(entry(lane, body.into()));
        }
    }
    taken
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
