//! Looks users up: asks HubSpot, a hundred users a call, for the records that
//! match them, where none was known when they came.
//!
//! Where records can be read by the rule's property, the call that finds them
//! reads them; else a search finds their ids, and the read queue has them read.
//! A user whom no record matches is left alone: the webhook of a later one finds
//! the user.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio_util::sync::CancellationToken;

use super::{
    definitions,
    failures::Error,
    lines::{self, CALLS_AT_ONCE, Queue},
    lookup_batches::{AskedUser, Batch, batches, key_kind, not_found, put_off},
    put_off::{LATER, Why},
    work::Work,
};
use crate::{
    host::Host,
    hubspot::{
        self,
        objects::{RECORDS_MAX, are_read_by},
        search::{VALUES_BYTES_MAX, VALUES_MAX},
    },
    model::{AccountId, AccountKey, MatchingRule, ObjectType, Priority, Status, Timestamp},
    pipeline::routing::AccountRoute,
    store::{
        self, Tx,
        lookups::{DueLookup, LookupKind, UserKeys},
        reads::{ReadKind, Wanted},
    },
    telemetry::{CallLabels, Metrics},
};

/// How long arrivals are gathered for after a call that asked for all that there
/// were. Who comes alone is looked up at once; of ten thousand who come in a
/// minute a hundred come in this time, which fills a call.
const GATHERING: Duration = Duration::from_millis(600);

/// Looks users up until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    lines::run::<Lookups>(host, stop).await;
}

/// The queue of look-ups.
struct Lookups;

impl Queue for Lookups {
    type Kind = LookupKind;
    type Item = DueLookup;

    fn span(account: &AccountKey) -> tracing::Span {
        tracing::error_span!("lookups", account = %account)
    }

    fn due_kinds(
        tx: &Tx<'_>,
        now: Timestamp,
    ) -> Result<Vec<(AccountId, LookupKind)>, store::Error> {
        tx.due_lookup_kinds(now)
    }

    fn is_due(
        tx: &Tx<'_>,
        _: AccountId,
        kind: &LookupKind,
        now: Timestamp,
    ) -> Result<bool, store::Error> {
        tx.is_lookup_due(kind, now)
    }

    fn due(
        tx: &Tx<'_>,
        _: AccountId,
        kind: &LookupKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueLookup>, store::Error> {
        tx.due_lookups(kind, now, limit)
    }

    fn at_once_max(_: &LookupKind) -> usize {
        RECORDS_MAX * CALLS_AT_ONCE
    }

    fn gathers(kind: &LookupKind) -> Option<Duration> {
        (kind.priority == Priority::Arrival).then_some(GATHERING)
    }

    fn priority(kind: &LookupKind) -> Priority {
        kind.priority
    }

    fn read_kind(kind: &LookupKind) -> ReadKind {
        ReadKind {
            object_type: kind.object_type.clone(),
            wanted: Wanted::Record,
            priority: kind.priority,
        }
    }

    fn calls(metrics: &Metrics) -> &Family<CallLabels, Counter> {
        &metrics.lookups
    }

    async fn make(
        work: &Work,
        kind: &LookupKind,
        due: Vec<DueLookup>,
        batch_max: usize,
    ) -> Result<(), Error> {
        let Some(rule) = rule(&work.route, kind) else {
            return leave(work, kind, due).await;
        };
        let (account, object_type) = (work.route.id, &kind.object_type);
        let is_unique = are_read_by_rule(&work.host, account, object_type, &rule).await?;
        let (asked, without) = asked(work, &rule, is_unique, due).await?;
        if !without.is_empty() {
            let end = move |tx: &Tx<'_>| without.iter().try_for_each(|one| not_found(tx, one));
            work.apply(end).await?;
        }
        let (count_max, bytes_max) = match is_unique {
            true => (RECORDS_MAX, usize::MAX),
            false => (VALUES_MAX, VALUES_BYTES_MAX),
        };
        let batches = batches(asked, count_max.min(batch_max), bytes_max);
        let calls = batches.into_iter().map(async |(run, batch)| {
            let batch = Batch {
                work,
                kind,
                rule: &rule,
                run,
                asked: batch,
            };
            match is_unique {
                true => batch.read().await,
                false => batch.search().await,
            }
        });
        let outcomes = futures_util::future::join_all(calls).await;
        outcomes.into_iter().collect()
    }

    /// In the end it is given up, and told: it would cost calls for ever, and
    /// the record's next change, or a full sync, finds the user too.
    fn put_off(
        tx: &Tx<'_>,
        _: &AccountRoute,
        lookup: &DueLookup,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        put_off(tx, lookup, why.reason, now)
    }
}

/// The rule that look-ups of a kind go by; none where their connection is not at
/// work, or has none any more.
fn rule(route: &AccountRoute, kind: &LookupKind) -> Option<MatchingRule> {
    let mut connections = route.connections.iter();
    let connection = connections.find(|one| one.id == kind.connection)?;
    let (_, mapping) = connection.mapping(&kind.object_type)?;
    mapping.matching.clone()
}

/// Ends look-ups without a call, but for those that a paused connection has.
async fn leave(work: &Work, kind: &LookupKind, due: Vec<DueLookup>) -> Result<(), Error> {
    let (connection, later) = (kind.connection, work.host.clock.now().plus(LATER));
    work.apply(move |tx| {
        let is_paused = tx.any_connection(connection)?.status == Status::Paused;
        due.iter().try_for_each(|lookup| match is_paused {
            true => tx.put_off_lookup(lookup, later, false),
            false => not_found(tx, lookup),
        })
    })
    .await
}

/// Whether records can be read by a rule's property; where not, they are searched.
pub(super) async fn are_read_by_rule(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
    rule: &MatchingRule,
) -> Result<bool, Error> {
    let property = &rule.property.name;
    if are_read_by(object_type, property) {
        return Ok(true);
    }
    match definitions::is_unique(host, account, object_type, property).await {
        // Records may be allowed although definitions are not, and a search
        // finds them by any property.
        Err(definitions::Error::HubSpot(hubspot::Error::MissingScopes { .. })) => Ok(false),
        answer => Ok(answer?),
    }
}

/// What each user is asked for by, and those who have no such thing.
async fn asked(
    work: &Work,
    rule: &MatchingRule,
    is_unique: bool,
    due: Vec<DueLookup>,
) -> Result<(Vec<AskedUser>, Vec<DueLookup>), Error> {
    let rule = rule.clone();
    let asked = move |tx: &Tx<'_>| {
        let (mut asked, mut without) = (Vec::new(), Vec::new());
        for lookup in due {
            let keys = tx.user_keys(lookup.user, rule.identifier)?;
            match text(&rule, is_unique, &keys) {
                Some(text) => asked.push(AskedUser { lookup, keys, text }),
                None => without.push(lookup),
            }
        }
        Ok((asked, without))
    };
    Ok(work.host.store.read(asked).await?)
}

/// What a user is asked for by; none where the user has no such thing.
fn text(rule: &MatchingRule, is_unique: bool, keys: &UserKeys) -> Option<String> {
    let wanted = key_kind(rule);
    let (_, text) = keys.iter().find(|(kind, _)| *kind == wanted)?;
    Some(asked_by(rule, is_unique, text))
}

/// The form in which HubSpot is asked for a key.
pub(super) fn asked_by(rule: &MatchingRule, is_unique: bool, key: &str) -> String {
    match rule.property.property_type.as_str() {
        // A search wants strings in lower case, and finds them in any.
        "string" if !is_unique => key.to_lowercase(),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{KeyKind, PropertyDefinition, UserIdentifier};

    #[test]
    fn users_are_asked_for_by_the_form_that_the_property_has() {
        let keys: UserKeys = vec![
            (KeyKind::Email, "ab-012".into()),
            (KeyKind::Id, "Ab-012".into()),
            (KeyKind::Number, "12".into()),
        ];
        let asked = |property_type: &str, identifier, is_unique| {
            let property = PropertyDefinition {
                name: "p".into(),
                property_type: property_type.into(),
                field_type: "text".into(),
            };
            let rule = MatchingRule {
                property,
                identifier,
            };
            text(&rule, is_unique, &keys)
        };
        let (email, id) = (UserIdentifier::Email, UserIdentifier::ExternalId);
        assert_eq!(asked("string", email, true).as_deref(), Some("ab-012"));
        assert_eq!(asked("string", id, true).as_deref(), Some("Ab-012"));
        assert_eq!(asked("string", id, false).as_deref(), Some("ab-012"));
        assert_eq!(asked("enumeration", id, false).as_deref(), Some("Ab-012"));
        assert_eq!(asked("number", id, false).as_deref(), Some("12"));
        assert_eq!(text_without_keys(), None);
    }

    fn text_without_keys() -> Option<String> {
        let property = PropertyDefinition {
            name: "p".into(),
            property_type: "number".into(),
            field_type: "number".into(),
        };
        let rule = MatchingRule {
            property,
            identifier: UserIdentifier::ExternalId,
        };
        text(&rule, true, &vec![(KeyKind::Id, "a".into())])
    }
}
