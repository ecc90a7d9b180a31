//! One call that looks users up, and what becomes of its look-ups by the answer.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    failures::Error,
    put_off::{Reason, again_at},
    work::{Parsed, Runs, Work},
};
use crate::{
    hubspot::{
        objects::Missing,
        search::{FOUND_MAX, Filter, FoundRecord},
    },
    model::{
        Cause, ConnectionId, KeyKind, MatchingRule, RunId, Timestamp, UserIdentifier, normalise,
    },
    pipeline::{pages::Asked, routing::ConnectionRoute},
    store::{
        self, Tx,
        activity::Activity,
        lookups::{DueLookup, LookupKind, UserKeys},
        reads::{ReadKey, Wanted},
        runs::{Counts, Example, Examples},
    },
};

/// The most pages of one search. A property that thousands of records share
/// with a user identifies nobody.
const PAGES_MAX: usize = 5;

/// The form of a user's identifier that the values of a rule's property have.
pub(super) fn key_kind(rule: &MatchingRule) -> KeyKind {
    match (rule.property.property_type.as_str(), rule.identifier) {
        ("number", _) => KeyKind::Number,
        (_, UserIdentifier::Email) => KeyKind::Email,
        (_, UserIdentifier::ExternalId | UserIdentifier::Variable(_)) => KeyKind::Id,
    }
}

/// A user who is asked for.
pub(super) struct AskedUser {
    /// What is asked for.
    pub lookup: DueLookup,
    /// All that the user is found by.
    pub keys: UserKeys,
    /// What HubSpot is asked by.
    pub text: String,
}

impl AskedUser {
    fn has(&self, found: &HashSet<(KeyKind, String)>) -> bool {
        self.keys.iter().any(|key| found.contains(key))
    }
}

/// Users by call: each of one run, of at most `count_max` users, and of at most
/// `bytes_max` bytes where that leaves any.
pub(super) fn batches(
    asked: Vec<AskedUser>,
    count_max: usize,
    bytes_max: usize,
) -> Vec<(Option<RunId>, Vec<AskedUser>)> {
    let mut by_run: BTreeMap<Option<RunId>, Vec<AskedUser>> = BTreeMap::new();
    for one in asked {
        by_run.entry(one.lookup.run).or_default().push(one);
    }
    let mut batches = Vec::new();
    for (run, asked) in by_run {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for one in asked {
            // As JSON, with a comma.
            let own = serde_json::Value::from(one.text.as_str()).to_string().len() + 1;
            let is_full = batch.len() >= count_max || bytes + own > bytes_max;
            if is_full && !batch.is_empty() {
                batches.push((run, std::mem::take(&mut batch)));
                bytes = 0;
            }
            bytes += own;
            batch.push(one);
        }
        if !batch.is_empty() {
            batches.push((run, batch));
        }
    }
    batches
}

/// The users of one call.
pub(super) struct Batch<'a> {
    /// What all calls share.
    pub work: &'a Work,
    /// The look-ups' kind.
    pub kind: &'a LookupKind,
    /// The rule that they go by.
    pub rule: &'a MatchingRule,
    /// The run that asks for all of them, where one does.
    pub run: Option<RunId>,
    /// The users.
    pub asked: Vec<AskedUser>,
}

impl Batch<'_> {
    /// What is asked by, each text once.
    fn texts(&self) -> Vec<String> {
        let texts: BTreeSet<&String> = self.asked.iter().map(|one| &one.text).collect();
        texts.into_iter().cloned().collect()
    }

    /// Reads records by a property that is unique, and applies the answer. It
    /// does not say which text found which record: their match keys do.
    pub async fn read(self) -> Result<(), Error> {
        let object_type = &self.kind.object_type;
        let properties = self.work.route.read_properties(object_type);
        let property = &self.rule.property.name;
        let texts = self.texts();
        let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let client = &self.work.host.hubspot;
        let (answer, _turn) = self
            .work
            .call(async |caller| {
                client
                    .read_records(&caller, object_type, &inputs, &properties, Some(property))
                    .await
            })
            .await?;
        let refused = answer.refused.iter().flat_map(|refusal| &refusal.inputs);
        let refused = refused.copied().collect();
        let parsed = self
            .work
            .parse(object_type, answer.body, answer.answered_at)
            .await?;
        let mut misread = parsed.page.misread_by(self.kind.connection);
        let is_misread = misread.next().is_some();
        drop(misread);
        let answered = Answered {
            found: keys_of(&parsed, self.kind.connection),
            is_misread,
            parsed,
            texts,
            missing: answer.missing,
            refused,
        };
        let (keys, now) = (self.work.host.keys.clone(), self.work.host.clock.now());
        let (connection, run) = (self.kind.connection, self.run);
        let (asked, priority) = (self.asked, self.work.priority);
        let apply = move |tx: &Tx<'_>| {
            let runs = Runs::of(tx, std::iter::once(run))?;
            answered.parsed.apply(tx, &keys, now, |route, _| {
                let is_own = route.id == connection;
                let cause = Cause {
                    priority,
                    run,
                    refresh: false,
                };
                let cause = runs.cause(cause, route.id);
                // For others nothing is known to be new.
                let how = Asked {
                    settled: None,
                    refresh: !is_own,
                };
                (cause, how)
            })?;
            asked.iter().try_for_each(|one| match answered.says(one) {
                Said::Found => found(tx, &one.lookup),
                Said::Nobody => not_found(tx, &one.lookup),
                Said::Nothing(reason) => put_off(tx, &one.lookup, reason, now),
            })
        };
        self.work.apply(apply).await
    }

    /// Searches for records by a property that several may share, and has those
    /// that are found read.
    pub async fn search(self) -> Result<(), Error> {
        let records = self.find().await?;
        let key = |found: &FoundRecord| ReadKey {
            account: self.work.route.id,
            object_type: self.kind.object_type.clone(),
            wanted: Wanted::Record,
            record: found.record.clone(),
        };
        let wanted: Vec<ReadKey> = records.iter().map(key).collect();
        let kind = key_kind(self.rule);
        let values = records.iter().filter_map(|found| found.value.as_deref());
        let values: HashSet<(KeyKind, String)> = values
            .filter_map(|value| Some((kind, normalise(kind, value)?)))
            .collect();
        let cause = Cause {
            priority: self.work.priority,
            run: self.run,
            // A run's own connection is filled all the same.
            refresh: self.run.is_some(),
        };
        let (asked, now) = (self.asked, self.work.host.clock.now());
        let apply = move |tx: &Tx<'_>| {
            for key in &wanted {
                tx.request_read(key, cause, Timestamp::default(), now)?;
            }
            asked.iter().try_for_each(|one| match one.has(&values) {
                true => found(tx, &one.lookup),
                false => not_found(tx, &one.lookup),
            })
        };
        self.work.apply(apply).await
    }

    async fn find(&self) -> Result<Vec<FoundRecord>, Error> {
        let texts = self.texts();
        let client = &self.work.host.hubspot;
        let mut records: Vec<FoundRecord> = Vec::new();
        for _ in 0..PAGES_MAX {
            let values = texts.iter().map(String::as_str).collect();
            let mut filters = vec![Filter::one_of(&self.rule.property.name, values)];
            let last = records.last().map(|found| found.record.clone());
            filters.extend(last.as_ref().map(Filter::after));
            let (page, _) = self
                .work
                .call(async |caller| {
                    let object_type = &self.kind.object_type;
                    client
                        .search(&caller, object_type, &filters, FOUND_MAX)
                        .await
                })
                .await?;
            records.extend(page.records);
            if !page.has_more {
                return Ok(records);
            }
        }
        Err(Error::Endless)
    }
}

/// An answer to a read by a unique property.
struct Answered {
    parsed: Parsed,
    /// The match keys that its records have for the connection that asked.
    found: HashSet<(KeyKind, String)>,
    /// Whether the connection's version did not understand some of them.
    is_misread: bool,
    /// What was asked by, in order.
    texts: Vec<String>,
    missing: Missing,
    /// What HubSpot refuses, by index of what was asked by.
    refused: HashSet<usize>,
}

/// What an answer says of one user.
enum Said {
    /// There are records.
    Found,
    /// There are none.
    Nobody,
    /// Nothing of use.
    Nothing(Reason),
}

impl Answered {
    fn says(&self, one: &AskedUser) -> Said {
        let index = self.texts.binary_search(&one.text).ok();
        let is_named = |named: &[usize]| index.is_some_and(|index| named.contains(&index));
        match &self.missing {
            _ if one.has(&self.found) => Said::Found,
            // A user who just came would be left empty by an answer that went
            // wrong, so it is believed when it repeats.
            Missing::WholeBatch if one.lookup.all_missing => Said::Nobody,
            Missing::WholeBatch => Said::Nothing(Reason::AllMissing),
            Missing::Named(named) if is_named(named) => Said::Nobody,
            Missing::Named(_) if index.is_some_and(|index| self.refused.contains(&index)) => {
                Said::Nothing(Reason::Refused)
            }
            Missing::Named(_) if self.is_misread => Said::Nothing(Reason::NotUnderstood),
            Missing::Named(_) => Said::Nothing(Reason::Unanswered),
        }
    }
}

/// The match keys that a page's records have for a connection.
fn keys_of(parsed: &Parsed, connection: ConnectionId) -> HashSet<(KeyKind, String)> {
    let is_own = |route: &Arc<ConnectionRoute>| route.id == connection;
    let mut pages = parsed.page.connections.iter();
    let own = pages.find(|(route, _)| is_own(route));
    let records = own.into_iter().flat_map(|(_, records)| records);
    let keys = records.filter_map(|record| record.keys.as_ref()).flatten();
    keys.filter_map(|key| Some((key.kind, normalise(key.kind, &key.text)?)))
        .collect()
}

/// Ends a look-up, and counts it for its run. Returns whether it was still the
/// newest.
fn end(tx: &Tx<'_>, lookup: &DueLookup, counted: Option<&str>) -> Result<bool, store::Error> {
    if !tx.finish_lookup(lookup)? {
        return Ok(false);
    }
    if let Some(run) = lookup.run {
        tx.advance_run(run, 1)?;
        let counts = counted.map(|name| (name.to_owned(), 1));
        tx.add_run_counts(run, &Counts::from_iter(counts))?;
        if let Some(name) = counted {
            let example = Example::User(lookup.user);
            tx.add_run_examples(run, &Examples::from([(name.to_owned(), vec![example])]))?;
        }
    }
    Ok(true)
}

/// Records were found: they count by themselves.
fn found(tx: &Tx<'_>, lookup: &DueLookup) -> Result<(), store::Error> {
    end(tx, lookup, None).map(|_| ())
}

/// Nobody in HubSpot is this user.
pub(super) fn not_found(tx: &Tx<'_>, lookup: &DueLookup) -> Result<(), store::Error> {
    end(tx, lookup, Some("skipped.no_record")).map(|_| ())
}

/// Puts a look-up off for moments, a few times; then gives it up, and says so.
pub(super) fn put_off(
    tx: &Tx<'_>,
    lookup: &DueLookup,
    reason: Reason,
    now: Timestamp,
) -> Result<(), store::Error> {
    if let Some(moment) = again_at(lookup.attempts, now) {
        return tx.put_off_lookup(lookup, moment, reason == Reason::AllMissing);
    }
    if !end(tx, lookup, Some("failed"))? {
        return Ok(());
    }
    let outcome = "lookup_given_up";
    let counts = Counts::from([(outcome.to_owned(), 1)]);
    tx.add_counts(lookup.kind.connection, &counts)?;
    let line = Activity {
        at: now,
        origin: lookup.kind.priority.origin().to_owned(),
        object_type: Some(lookup.kind.object_type.clone()),
        outcome: outcome.to_owned(),
        reason: Some(reason.as_str().to_owned()),
        users: vec![lookup.user],
        users_count: 1,
        ..Activity::default()
    };
    tx.add_activity(lookup.kind.connection, &line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Priority, UserId};

    fn user(id: i64, run: Option<i64>, text: &str) -> AskedUser {
        AskedUser {
            lookup: DueLookup {
                kind: LookupKind {
                    connection: ConnectionId(1),
                    object_type: "contacts".into(),
                    priority: Priority::Arrival,
                },
                user: UserId(id),
                run: run.map(RunId),
                requested: 1,
                attempts: 0,
                all_missing: false,
            },
            keys: Vec::new(),
            text: text.to_owned(),
        }
    }

    fn sizes(batches: &[(Option<RunId>, Vec<AskedUser>)]) -> Vec<usize> {
        batches.iter().map(|(_, batch)| batch.len()).collect()
    }

    #[test]
    fn a_call_is_of_a_hundred_users_and_of_one_run() {
        let asked = (0..250).map(|id| user(id, (id >= 200).then_some(7), "a"));
        let batches = batches(asked.collect(), 100, usize::MAX);
        assert_eq!(sizes(&batches), [100, 100, 50]);
        assert_eq!(batches[2].0, Some(RunId(7)));
    }

    #[test]
    fn a_call_has_no_more_bytes_than_it_may_but_for_one_user() {
        let text = "x".repeat(7);
        let asked = |count| (0..count).map(|id| user(id, None, &text)).collect();
        assert_eq!(sizes(&batches(asked(4), 100, 20)), [2, 2]);
        assert_eq!(sizes(&batches(asked(4), 100, 19)), [1, 1, 1, 1]);
        assert_eq!(sizes(&batches(asked(2), 100, 1)), [1, 1]);
    }
}
