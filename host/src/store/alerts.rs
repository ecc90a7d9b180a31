//! Alerts: where they go, what was told last, and what is still to be sent.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::params;

use super::{Error, Tx, encode, optional_timestamp, timestamp};
use crate::model::{AlertChannelId, ConnectionId, Problem, Timestamp};

/// What a channel's messages are sent by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A signed request to an address.
    Webhook,
    /// A mail.
    Email,
    /// Slack's incoming webhook.
    Slack,
}

/// Where a connection's alerts go.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its id.
    pub id: AlertChannelId,
    /// Whose alerts.
    pub connection: ConnectionId,
    /// What messages are sent by.
    pub kind: ChannelKind,
    /// What may be read of its address.
    pub shown: String,
    /// Its address, and the secret that messages are signed with; sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What came of its last message; none before the first.
    pub last: Option<LastMessage>,
    /// Messages that wait.
    pub waiting: i64,
}

/// What came of the last message of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastMessage {
    /// When it was sent, or could not be.
    pub at: Timestamp,
    /// Whether it was taken.
    pub sent: bool,
    /// What was answered, for people.
    pub answer: String,
}

/// Something wrong with a connection, as it was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldAlert {
    /// What is wrong.
    pub problem: Problem,
    /// Since when.
    pub since: Timestamp,
}

/// A message that waits.
#[derive(Clone, Debug)]
pub struct DueMessage {
    /// Its number.
    pub id: i64,
    /// Where it goes.
    pub channel: AlertChannelId,
    /// What it says, as it was stored.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

const SELECT: &str = "
    SELECT c.id, c.connection, c.kind, c.shown, c.sealed, c.created_at, c.last_at, c.last_sent,
           c.last_answer, (SELECT count(*) FROM alert_messages m WHERE m.channel = c.id)
    FROM alert_channels c";

impl Tx<'_> {
    /// Adds a channel; `seal` makes what is kept of its address and secret. What was
    /// told before a connection's first one was told to nobody: whoever is told from
    /// now on is told all that is wrong then.
    pub fn add_channel(
        &self,
        connection: ConnectionId,
        kind: ChannelKind,
        shown: &str,
        seal: impl FnOnce(AlertChannelId) -> Vec<u8>,
        now: Timestamp,
    ) -> Result<AlertChannelId, Error> {
        self.statement(
            "DELETE FROM alerts WHERE connection = ?1
                AND NOT EXISTS (SELECT 1 FROM alert_channels WHERE connection = ?1)",
        )?
        .execute([connection.0])?;
        self.statement(
            "INSERT INTO alert_channels (connection, kind, shown, sealed, created_at)
             VALUES (?1, ?2, ?3, x'', ?4)",
        )?
        .execute(params![connection.0, encode::word(&kind), shown, now.0])?;
        let id = AlertChannelId(self.connection.last_insert_rowid());
        self.statement("UPDATE alert_channels SET sealed = ?2 WHERE id = ?1")?
            .execute(params![id.0, seal(id)])?;
        Ok(id)
    }

    /// A connection's channels, oldest first.
    pub fn channels(&self, connection: ConnectionId) -> Result<Vec<Channel>, Error> {
        let sql = format!("{SELECT} WHERE c.connection = ?1 ORDER BY c.id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([connection.0])?;
        let mut channels = Vec::new();
        while let Some(row) = rows.next()? {
            channels.push(read_channel(row)?);
        }
        Ok(channels)
    }

    /// A channel, whosever.
    pub fn channel(&self, id: AlertChannelId) -> Result<Channel, Error> {
        let sql = format!("{SELECT} WHERE c.id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id.0])?;
        rows.next()?
            .map_or(Err(Error::NotFound("alert channel")), read_channel)
    }

    /// Removes a channel, and what waits for it.
    pub fn remove_channel(&self, id: AlertChannelId) -> Result<(), Error> {
        self.execute_by_id("DELETE FROM alert_channels WHERE id = ?1", id.0)
            .map(drop)
    }

    /// A test is about to be sent to a channel.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where one was less than `pause` ago.
    pub fn claim_test(
        &self,
        id: AlertChannelId,
        now: Timestamp,
        pause: Duration,
    ) -> Result<(), Error> {
        let claimed = self
            .statement(
                "UPDATE alert_channels SET tested_at = ?2
                 WHERE id = ?1 AND (tested_at IS NULL OR tested_at NOT BETWEEN ?3 + 1 AND ?2)",
            )?
            .execute(params![id.0, now.0, now.minus(pause).0])?;
        match claimed {
            0 => Err(Error::Conflict(
                "a test was sent there moments ago: wait half a minute, then try again".into(),
            )),
            _ => Ok(()),
        }
    }

    /// The connections whose alerts go somewhere.
    pub fn connections_with_channels(&self) -> Result<Vec<ConnectionId>, Error> {
        let mut statement =
            self.statement("SELECT DISTINCT connection FROM alert_channels ORDER BY connection")?;
        let rows = statement.query_map([], |row| row.get(0).map(ConnectionId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was told to be wrong with a connection, by its code.
    pub fn alerts(&self, connection: ConnectionId) -> Result<BTreeMap<String, ToldAlert>, Error> {
        let mut statement =
            self.statement("SELECT code, problem, since FROM alerts WHERE connection = ?1")?;
        let mut rows = statement.query([connection.0])?;
        let mut alerts = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let told = ToldAlert {
                problem: encode::read_json(&row.get::<_, String>(1)?)?,
                since: timestamp(row, 2)?,
            };
            alerts.insert(row.get(0)?, told);
        }
        Ok(alerts)
    }

    /// Keeps that something was told to be wrong.
    pub fn add_alert(
        &self,
        connection: ConnectionId,
        problem: &Problem,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO alerts (connection, code, problem, since) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (connection, code) DO UPDATE SET problem = excluded.problem",
        )?
        .execute(params![
            connection.0,
            problem.code,
            encode::json(problem)?,
            now.0
        ])?;
        Ok(())
    }

    /// Keeps that something was told to be over.
    pub fn remove_alert(&self, connection: ConnectionId, code: &str) -> Result<(), Error> {
        self.statement("DELETE FROM alerts WHERE connection = ?1 AND code = ?2")?
            .execute(params![connection.0, code])?;
        Ok(())
    }

    /// Has a message sent by all of a connection's channels.
    pub fn add_messages(
        &self,
        connection: ConnectionId,
        message: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO alert_messages (channel, message, not_before)
             SELECT id, ?2, ?3 FROM alert_channels WHERE connection = ?1 ORDER BY id",
        )?
        .execute(params![connection.0, message, now.0])?;
        Ok(())
    }

    /// The messages that are due, the oldest of each channel: what comes after it
    /// waits for it.
    pub fn due_messages(&self, now: Timestamp) -> Result<Vec<DueMessage>, Error> {
        let mut statement = self.statement(
            "SELECT id, channel, message, attempts FROM alert_messages m
             WHERE not_before <= ?1
               AND id = (SELECT min(id) FROM alert_messages WHERE channel = m.channel)
             ORDER BY id",
        )?;
        let rows = statement.query_map([now.0], |row| {
            Ok(DueMessage {
                id: row.get(0)?,
                channel: AlertChannelId(row.get(1)?),
                message: row.get(2)?,
                attempts: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A message is about to be sent; unless it is ended, it is again at a moment.
    pub fn claim_message(&self, id: i64, again_at: Timestamp) -> Result<(), Error> {
        self.statement(
            "UPDATE alert_messages SET not_before = ?2, attempts = attempts + 1 WHERE id = ?1",
        )?
        .execute(params![id, again_at.0])?;
        Ok(())
    }

    /// A message was sent, or is given up.
    pub fn end_message(&self, id: i64) -> Result<(), Error> {
        self.execute_by_id("DELETE FROM alert_messages WHERE id = ?1", id)
            .map(drop)
    }

    /// Keeps what came of a channel's last message.
    pub fn set_last_message(&self, id: AlertChannelId, last: &LastMessage) -> Result<(), Error> {
        self.statement(
            "UPDATE alert_channels SET last_at = ?2, last_sent = ?3, last_answer = ?4
             WHERE id = ?1",
        )?
        .execute(params![id.0, last.at.0, last.sent, last.answer])?;
        Ok(())
    }
}

fn read_channel(row: &rusqlite::Row<'_>) -> Result<Channel, Error> {
    let last = match optional_timestamp(row, 6)? {
        Some(at) => Some(LastMessage {
            at,
            sent: row.get(7)?,
            answer: row.get(8)?,
        }),
        None => None,
    };
    Ok(Channel {
        id: AlertChannelId(row.get(0)?),
        connection: ConnectionId(row.get(1)?),
        kind: encode::read_word(&row.get::<_, String>(2)?)?,
        shown: row.get(3)?,
        sealed: row.get(4)?,
        created_at: timestamp(row, 5)?,
        last,
        waiting: row.get(9)?,
    })
}
