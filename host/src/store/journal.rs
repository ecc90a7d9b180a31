//! What was last found of the source's journal, and what the app's file has
//! pushed: kept for the command line, which calls nobody.

use rusqlite::params;

use super::{Error, Tx, timestamp};
use crate::model::{AccountKey, PushedProperty, Timestamp};

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Reading the journal.
    Reading,
    /// Keeping the app's subscriptions to it.
    Subscriptions,
    /// What the journal had and was not read in time.
    Gap,
    /// The subscriptions of one account.
    Account(AccountKey),
}

impl Subject {
    fn word(&self) -> String {
        match self {
            Self::Reading => "reading".to_owned(),
            Self::Subscriptions => "subscriptions".to_owned(),
            Self::Gap => "gap".to_owned(),
            Self::Account(key) => format!("account/{key}"),
        }
    }

    fn read(word: &str) -> Option<Self> {
        match (word, word.strip_prefix("account/")) {
            (_, Some(key)) => Some(Self::Account(key.into())),
            ("reading", _) => Some(Self::Reading),
            ("subscriptions", _) => Some(Self::Subscriptions),
            ("gap", _) => Some(Self::Gap),
            _ => None,
        }
    }
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Works,
    /// It does not work now, and may by itself.
    Failing(String),
    /// The source refuses it until somebody acts.
    Refused(String),
}

impl State {
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Works => ("works", None),
            Self::Failing(reason) => ("failing", Some(reason)),
            Self::Refused(reason) => ("refused", Some(reason)),
        }
    }

    fn read(word: &str, reason: Option<String>) -> Option<Self> {
        match (word, reason) {
            ("works", _) => Some(Self::Works),
            ("failing", Some(reason)) => Some(Self::Failing(reason)),
            ("refused", Some(reason)) => Some(Self::Refused(reason)),
            _ => None,
        }
    }
}

/// What was found, and when it came to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// About what.
    pub subject: Subject,
    /// How it is.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
}

impl Tx<'_> {
    /// Keeps a finding in place of the last about the same.
    pub fn save_journal_finding(&self, finding: &Finding) -> Result<(), Error> {
        let (state, reason) = finding.state.parts();
        self.connection.execute(
            "INSERT INTO journal_findings (subject, state, reason, found_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (subject) DO UPDATE SET
                state = excluded.state, reason = excluded.reason, found_at = excluded.found_at",
            params![finding.subject.word(), state, reason, finding.since.0],
        )?;
        Ok(())
    }

    /// Forgets what was found.
    pub fn forget_journal_finding(&self, subject: &Subject) -> Result<(), Error> {
        self.connection.execute(
            "DELETE FROM journal_findings WHERE subject = ?1",
            [subject.word()],
        )?;
        Ok(())
    }

    /// All findings, in the order of their subjects' words. Those that a newer
    /// release made of a kind of its own are left out: they are made again.
    pub fn journal_findings(&self) -> Result<Vec<Finding>, Error> {
        let mut statement = self.statement(
            "SELECT subject, state, reason, found_at FROM journal_findings ORDER BY subject",
        )?;
        let mut rows = statement.query([])?;
        let mut findings = Vec::new();
        while let Some(row) = rows.next()? {
            let subject = Subject::read(&row.get::<_, String>(0)?);
            let state = State::read(&row.get::<_, String>(1)?, row.get(2)?);
            let since = timestamp(row, 3)?;
            findings.extend(subject.zip(state).map(|(subject, state)| Finding {
                subject,
                state,
                since,
            }));
        }
        Ok(findings)
    }

    /// Replaces what the app's file has pushed.
    pub fn save_pushed(&self, pushed: &[PushedProperty]) -> Result<(), Error> {
        self.connection
            .execute("DELETE FROM pushed_properties", [])?;
        let mut insert = self.statement(
            "INSERT INTO pushed_properties (object_type, property, active) VALUES (?1, ?2, ?3)",
        )?;
        for one in pushed {
            insert.execute(params![
                one.object_type.as_str(),
                one.property.as_str(),
                one.active
            ])?;
        }
        Ok(())
    }

    /// What the app's file has pushed; nothing where none was written.
    pub fn pushed(&self) -> Result<Vec<PushedProperty>, Error> {
        let mut statement = self.statement(
            "SELECT object_type, property, active FROM pushed_properties
             ORDER BY object_type, property",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(PushedProperty {
                object_type: row.get::<_, String>(0)?.into(),
                property: row.get::<_, String>(1)?.into(),
                active: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
