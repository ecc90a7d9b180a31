//! HubSpot's webhooks journal: the second way by which changes come, and the one
//! that knows the properties that one customer alone has.
//!
//! [`subscriptions`] keeps what HubSpot writes to it equal to what the
//! connections need; [`reader`] brings its files into the event log. Both say
//! here how it goes. Where HubSpot refuses it, catch-up has to take its place.

mod access;
mod files;
mod plan;
mod reader;
mod subscriptions;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::discriminant,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use access::Access;

use super::{
    lock,
    runs::schedule::{self, UnderWay},
};
use crate::{
    config::{HubspotConfig, JournalUse},
    host::Host,
    hubspot::{self, oauth::GrantError},
    log,
    model::{AccountKey, ConnectionId, ObjectType, PropertyName, Timestamp},
    pipeline::routing::AccountRoute,
    plugin::{Fault, Interest},
    store::{
        self, Store,
        journal::{Finding, State, Subject},
    },
};

/// How long it may fail before catch-ups take its place: less is made up for when
/// it works again, for HubSpot keeps it for days.
const FAILING: Duration = Duration::from_secs(600);

/// What is said where the operator turned it off.
const TURNED_OFF: &str = "it is turned off on this host (HUBSPOT_JOURNAL)";
/// What is said where there is no app to read it as.
const NO_APP: &str = "no HubSpot app is set up on this host";

/// Why the journal could not be used. It is tried again, whatever it is.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Token(#[from] GrantError),
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    #[error("a file of the journal could not be fetched: {0}")]
    File(#[source] hubspot::Error),
    #[error(transparent)]
    Grant(#[from] super::grants::Error),
    #[error(transparent)]
    Plugin(#[from] Fault),
    #[error("the plugin does not say how a file of the journal is read")]
    NotDescribed,
    #[error("HubSpot's journal does not go on behind a file")]
    NoProgress,
    #[error("the work ended abruptly")]
    Ended,
}

impl Error {
    /// What is found where this comes of it: whether somebody has to act.
    fn state(&self) -> State {
        let refused = match self {
            Self::Token(GrantError::Misconfigured { code }) => {
                format!("HubSpot gives the app no token for it ({code})")
            }
            Self::Token(GrantError::Refused {
                status: 401 | 403 | 404,
                code,
            }) => format!("HubSpot gives the app no token for it ({code})"),
            Self::Token(GrantError::AccessDenied | GrantError::OtherApp) => {
                "HubSpot gives the app no token for it".to_owned()
            }
            Self::HubSpot(hubspot::Error::MissingScopes { scopes }) if scopes.is_empty() => {
                "HubSpot does not allow it to the app".to_owned()
            }
            Self::HubSpot(hubspot::Error::MissingScopes { scopes }) => {
                format!("the app lacks permissions: {}", scopes.join(", "))
            }
            Self::HubSpot(hubspot::Error::Unauthorized) => {
                "HubSpot does not take the app’s token".to_owned()
            }
            Self::HubSpot(hubspot::Error::NotFound(_)) => "HubSpot has none for the app".to_owned(),
            Self::HubSpot(hubspot::Error::Refused(fault)) if fault.status == 403 => {
                format!("HubSpot refuses it ({fault})")
            }
            Self::NotDescribed => self.to_string(),
            other => return State::Failing(other.to_string()),
        };
        State::Refused(refused)
    }

    /// When to try again, where that is known.
    fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::HubSpot(error) | Self::File(error) => error.retry_at(),
            Self::Token(error) => error.retry_at(),
            _ => None,
        }
    }
}

/// How the journal serves an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It is not known yet.
    Unknown,
    /// It tells of what [`Journal::told`] names.
    Works,
    /// It does not now, for this reason, and is tried again.
    Failing(String),
    /// It does not, for this reason, until somebody acts.
    Refused(String),
}

/// How the journal goes, and the way to it.
pub struct Journal {
    store: Arc<Store>,
    /// The way to it, or why there is none.
    access: Result<Access, &'static str>,
    findings: Mutex<BTreeMap<Subject, Finding>>,
    /// What accounts are subscribed to, as far as this process has seen to it.
    told: Mutex<HashMap<AccountKey, Vec<Interest>>>,
}

/// What the journal keeps no longer is days old: a scan that began this long before
/// that was found has seen it.
const GAP_SEEN: Duration = Duration::from_secs(24 * 3_600);

/// Whether a gap that was found then was seen by the last scan of what had changed,
/// by when that began.
pub fn is_seen(found_at: Timestamp, scanned_at: Option<Timestamp>) -> bool {
    scanned_at >= Some(found_at.minus(GAP_SEEN))
}

impl Journal {
    /// What the last process found, and the way to the journal as an app.
    pub async fn open(
        settings: &HubspotConfig,
        client: hubspot::Client,
        store: Arc<Store>,
    ) -> Result<Self, store::Error> {
        let access = match (settings.journal, settings.app()) {
            (JournalUse::Off, _) => Err(TURNED_OFF),
            (JournalUse::On, None) => Err(NO_APP),
            (JournalUse::On, Some(app)) => Ok(Access::new(client, app)),
        };
        let findings = store.read(|tx| tx.journal_findings()).await?.into_iter();
        let by_subject = findings.map(|finding| (finding.subject.clone(), finding));
        Ok(Self {
            access,
            findings: Mutex::new(by_subject.collect()),
            told: Mutex::default(),
            store,
        })
    }

    /// How it serves an account.
    pub fn service(&self, account: &AccountKey) -> Service {
        if let Err(reason) = &self.access {
            return Service::Refused((*reason).to_owned());
        }
        let findings = lock(&self.findings);
        let subjects = subjects(account);
        let states = subjects.map(|subject| findings.get(&subject).map(|found| &found.state));
        let reason = |refused: bool| {
            states.iter().flatten().find_map(|state| match state {
                State::Refused(reason) if refused => Some(reason.clone()),
                State::Failing(reason) if !refused => Some(reason.clone()),
                _ => None,
            })
        };
        match (reason(true), reason(false)) {
            (Some(reason), _) => Service::Refused(reason),
            (None, Some(reason)) => Service::Failing(reason),
            (None, None) if states.contains(&None) => Service::Unknown,
            (None, None) => Service::Works,
        }
    }

    /// The properties of an object type whose changes it tells of, in an account;
    /// none where it tells of nothing that happens to such records.
    pub fn told(
        &self,
        account: &AccountKey,
        object_type: &ObjectType,
    ) -> Option<BTreeSet<PropertyName>> {
        let told = lock(&self.told);
        let mut interests = told.get(account)?.iter();
        let interest = interests.find(|interest| interest.object_type == *object_type)?;
        Some(interest.properties.iter().cloned().collect())
    }

    /// What it had and was not read in time, where that was lately: why, and when
    /// it was found out. Only a catch-up brings it.
    pub fn gap(&self) -> Option<(Timestamp, String)> {
        let findings = lock(&self.findings);
        match findings.get(&Subject::Gap) {
            Some(Finding {
                state: State::Failing(reason),
                since,
                ..
            }) => Some((*since, reason.clone())),
            _ => None,
        }
    }

    /// Keeps what was found. Returns whether it is new.
    async fn found(
        &self,
        subject: Subject,
        state: State,
        now: Timestamp,
    ) -> Result<bool, store::Error> {
        let known = lock(&self.findings).get(&subject).cloned();
        // Reasons name moments and calls; what matters is that it goes on.
        let alike = |known: &&Finding| discriminant(&known.state) == discriminant(&state);
        let still = known.as_ref().filter(alike);
        let still = still.filter(|_| subject != Subject::Gap);
        let is_new = still.is_none();
        let finding = Finding {
            subject: subject.clone(),
            since: still.map_or(now, |known| known.since),
            state,
        };
        if known.as_ref() == Some(&finding) {
            return Ok(false);
        }
        let kept = finding.clone();
        self.store
            .transact(move |tx| tx.save_journal_finding(&kept))
            .await?;
        if known.is_some() && finding.state == State::Works {
            tracing::info!(?subject, "the journal can be used again");
        }
        lock(&self.findings).insert(subject, finding);
        Ok(is_new)
    }

    /// Whether it tells nothing that this is about: it is refused, or has failed for a
    /// while.
    fn is_out(&self, subject: &Subject, now: Timestamp) -> bool {
        let findings = lock(&self.findings);
        findings
            .get(subject)
            .is_some_and(|found| match found.state {
                State::Works => false,
                State::Refused(_) => true,
                State::Failing(_) => now.since(found.since) >= FAILING,
            })
    }

    /// Whether somebody has to act before it can be used.
    fn is_refused(&self, subject: &Subject) -> bool {
        let findings = lock(&self.findings);
        let found = findings.get(subject);
        found.is_some_and(|found| matches!(found.state, State::Refused(_)))
    }

    /// Keeps what went wrong, and says it once. What is refused stays so until it
    /// works: a call that fails tells nothing of it.
    async fn failed(&self, subject: Subject, error: &Error, now: Timestamp) {
        let state = error.state();
        let kept = match state {
            State::Failing(_) if self.is_refused(&subject) => Ok(false),
            _ => self.found(subject.clone(), state, now).await,
        };
        match kept {
            Ok(true) => {
                tracing::warn!(%error, ?subject, "the journal cannot be used; it is tried again")
            }
            Ok(false) => tracing::debug!(%error, ?subject, "the journal still cannot be used"),
            Err(store) => {
                tracing::warn!(%error, %store, "the journal cannot be used, nor can that be kept")
            }
        }
    }

    /// An account's subscriptions are as they should be.
    fn tells(&self, route: &AccountRoute) {
        lock(&self.told).insert(route.key.clone(), route.interests.clone());
    }

    /// Forgets all accounts but these.
    async fn keep_accounts(&self, kept: &BTreeSet<AccountKey>) -> Result<(), store::Error> {
        lock(&self.told).retain(|account, _| kept.contains(account));
        let gone: Vec<Subject> = lock(&self.findings)
            .keys()
            .filter(|subject| matches!(subject, Subject::Account(key) if !kept.contains(key)))
            .cloned()
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let forgotten = gone.clone();
        self.store
            .transact(move |tx| {
                let mut gone = forgotten.iter();
                gone.try_for_each(|subject| tx.forget_journal_finding(subject))
            })
            .await?;
        let mut findings = lock(&self.findings);
        gone.iter()
            .for_each(|subject| drop(findings.remove(subject)));
        Ok(())
    }
}

/// Whether the journal tells nothing of an account: it is refused, or not used, or
/// has failed for a while. Catch-up then has to run every few minutes.
pub fn journal_refused(host: &Host, account: &AccountKey) -> bool {
    let (journal, now) = (&host.journal, host.clock.now());
    let subjects = subjects(account);
    journal.access.is_err() || subjects.iter().any(|one| journal.is_out(one, now))
}

/// What an account needs to work.
fn subjects(account: &AccountKey) -> [Subject; 3] {
    [
        Subject::Reading,
        Subject::Subscriptions,
        Subject::Account(account.clone()),
    ]
}

/// Has what the journal did not tell found by catch-ups.
async fn catch_up<'a>(
    host: &Host,
    accounts: impl Iterator<Item = &'a Arc<AccountRoute>>,
    under_way: UnderWay,
) -> Result<(), store::Error> {
    let connections = accounts.flat_map(|account| &account.connections);
    let connections: Vec<ConnectionId> = connections.map(|one| one.id).collect();
    if connections.is_empty() {
        return Ok(());
    }
    let now = host.clock.now();
    let ask = move |tx: &store::Tx<'_>| {
        let mut connections = connections.iter();
        connections.try_for_each(|connection| schedule::request(tx, *connection, under_way, now))
    };
    host.store.transact(ask).await?;
    host.pipeline.notify_changed();
    Ok(())
}

/// Reads the journal and keeps its subscriptions, where it is used, until it is
/// told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let Ok(access) = &host.journal.access else {
        return stop.cancelled().await;
    };
    tokio::join!(
        reader::run(&host, access, &stop),
        subscriptions::run(&host, access, &stop),
    );
}
