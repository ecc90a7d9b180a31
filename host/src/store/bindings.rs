//! What a store goes with: its log, and the secret key.

use rusqlite::params;

use super::{Error, Store};
use crate::{
    log::{EventLog, Position},
    secrets::Keys,
};

impl Store {
    /// Binds the store to its log. Refuses a log that is not the one it knows,
    /// one that ends before the place it has reached, and one that begins after
    /// it: with either, deliveries would be missing.
    pub async fn bind_log(&self, log: &EventLog) -> Result<(), Error> {
        let identity = log.identity().to_owned();
        let (kept_from, tail) = (log.kept_from(), *log.tail().borrow());
        self.transact(move |tx| {
            let known: Option<String> =
                tx.connection
                    .query_one("SELECT log_identity FROM state", [], |row| row.get(0))?;
            match known {
                None if tail.0 > 0 => return Err(Error::NoStore),
                Some(known) if known != identity => return Err(Error::ForeignLog),
                _ => {}
            }
            let place = tx.log_place()?;
            let reached = place.last();
            if tail < reached {
                return Err(Error::LogBehind {
                    log: tail.0,
                    store: reached.0,
                });
            }
            if kept_from.0 > place.up_to.0 + 1 {
                return Err(Error::LogTrimmed {
                    log: kept_from.0,
                    store: place.up_to.0,
                });
            }
            tx.connection
                .execute("UPDATE state SET log_identity = ?1", [identity])?;
            Ok(())
        })
        .await
    }

    /// Binds the store to a log, whichever it is, and moves the place before
    /// all that the log holds: everything is applied again, which changes
    /// nothing that was applied before. Returns the place that it had reached.
    pub async fn accept_log(&self, log: &EventLog) -> Result<Position, Error> {
        let identity = log.identity().to_owned();
        let (before, tail) = (log.kept_from().0 - 1, log.tail().borrow().0);
        self.transact(move |tx| {
            let reached = tx.log_place()?.last();
            tx.connection.execute("DELETE FROM lanes", [])?;
            // Their places are in the former log.
            tx.connection.execute("DELETE FROM shadows", [])?;
            tx.search_anew(Position(before), Position(tail))?;
            tx.connection.execute(
                "UPDATE state SET log_identity = ?1, log_position = ?2",
                params![identity, before],
            )?;
            Ok(reached)
        })
        .await
    }

    /// Binds the store to the secret key. Refuses another one than the one that
    /// its tokens are sealed with and its match index was made with.
    pub async fn bind_keys(&self, keys: &Keys) -> Result<(), Error> {
        let check = keys.check_value();
        self.transact(move |tx| {
            let known: Option<[u8; 16]> =
                tx.connection
                    .query_one("SELECT keys_check FROM state", [], |row| row.get(0))?;
            if known.is_some_and(|known| known != check) {
                return Err(Error::ForeignKeys);
            }
            tx.connection
                .execute("UPDATE state SET keys_check = ?1", [check])?;
            Ok(())
        })
        .await
    }
}
