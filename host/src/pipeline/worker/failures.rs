//! Why a batch could not be worked on, and what is done about it.

use std::sync::Arc;

use super::Pipeline;
use crate::{
    log::{self, Lane},
    pipeline::{
        brake,
        routing::AccountRoute,
        turns::{Turn, Turns},
    },
    plugin::Fault,
    sources, sqlite, store,
};

/// Why a batch could not be worked on. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The host cannot run plugins.
    #[error(transparent)]
    Plugin(#[from] Fault),
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

impl Error {
    /// Whether the store's file, or the log's, is damaged.
    fn is_damage(&self) -> bool {
        let database = match self {
            Self::Store(store::Error::Database(error)) | Self::Log(log::Error::Database(error)) => {
                error
            }
            _ => return false,
        };
        matches!(database, sqlite::Error::Damaged(_))
    }
}

impl Pipeline {
    /// What to do about a transaction that was undone: where the brake of a
    /// connection undid it, the same again ([`store::Error::Outdated`]),
    /// for what may be done and what is held is decided now.
    pub async fn braked(&self, error: store::Error) -> store::Error {
        let store::Error::BrakedLive { connection, lost } = error else {
            return error;
        };
        let (share, now) = (self.brake_share, self.clock.now());
        let allowed = self
            .store
            .read(move |tx| brake::allowed(tx, connection, share, now))
            .await;
        let allowed = match allowed {
            Ok(allowed) => allowed,
            Err(error) => return error,
        };
        let decide = move |tx: &store::Tx<'_>| brake::decide(tx, connection, (lost, allowed), now);
        match self.store.transact(decide).await {
            Err(error) => return error,
            Ok(true) => tracing::warn!(
                %connection, lost,
                "what comes live would take values from many users: it is held, and asks"
            ),
            Ok(false) => {}
        }
        self.notify_changed();
        store::Error::Outdated
    }

    /// What to do about a batch that failed: where something that it holds is the
    /// cause, its accounts go on one by one, and that one waits.
    pub(super) async fn failed(
        &self,
        turns: &mut Turns,
        turn: Turn,
        error: Error,
    ) -> Result<(), Error> {
        if !self.is_of_the_data(&error).await {
            return Err(error);
        }
        let (accounts, entries) = (turn.step.lanes.len(), turn.entries.len());
        match turns.failed(turn, error.is_damage(), self.clock.now()) {
            None => tracing::warn!(
                %error, accounts, entries,
                "a batch could not be applied: its accounts are tried one by one, in smaller parts"
            ),
            Some(stuck) => {
                let account = self.account_of(stuck.entry.lane).await;
                let connector = account.as_ref().map(|account| account.connector.as_str());
                let key = account.as_ref().map(|account| account.key.as_str());
                tracing::error!(
                    connector,
                    account = key,
                    lane = stuck.entry.lane.0,
                    position = stuck.entry.position.0,
                    again_after_seconds = stuck.pause.as_secs(),
                    %error,
                    "an entry of the log cannot be applied: what came after it of its account \
                     waits, and it is tried again"
                );
            }
        }
        self.tell(turns);
        Ok(())
    }

    /// Whether a batch failed for something that it holds: another may go.
    pub(in crate::pipeline) async fn is_of_the_data(&self, error: &Error) -> bool {
        match error {
            Error::Log(error) => error.is_of_the_data(),
            // The work panicked, or nothing can be written any more.
            Error::Store(store::Error::Database(sqlite::Error::Closed)) => {
                self.store.transact(|_| Ok(())).await.is_ok()
            }
            Error::Store(error) => error.is_of_the_data(),
            Error::Plugin(_) => false,
            Error::Ended => true,
        }
    }

    /// The account whose lane it is, where anything is connected to it.
    async fn account_of(&self, lane: Lane) -> Option<Arc<AccountRoute>> {
        let routing = self.routing().await.ok()?;
        let mut accounts = routing.accounts();
        let account = accounts.find(|one| sources::lane(&one.connector, Some(&one.key)) == lane);
        account.cloned()
    }

    /// Says which accounts wait for something that cannot be applied.
    pub(super) fn tell(&self, turns: &Turns) {
        let trouble = turns.trouble();
        let stuck = i64::try_from(trouble.stuck()).unwrap_or(i64::MAX);
        self.metrics.accounts_stuck.set(stuck);
        self.damaged.send_replace(trouble.is_damage());
    }
}
