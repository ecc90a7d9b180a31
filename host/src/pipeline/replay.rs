//! Works again on what was set aside: the same way as what comes from the log,
//! with the version that is active now.
//!
//! It does not go through the log a second time. Nothing needs the log's order:
//! whatever is older than what is held changes nothing, an event from before its
//! field was saved makes no register (both by the source's own stamps), and an
//! erased record's tombstone stops what comes late. And there is one copy of the
//! bytes that erasures have to rewrite, not two, and one transaction that applies
//! them and takes them out of what is set aside: so neither a kill nor a second
//! replay does anything twice.

use super::{
    Pipeline,
    batch::{apply_told, is_as_prepared},
    prepare::{Overrun, Prepared, Purpose},
    worker::Error,
};
use crate::{
    log::{Logged, Position},
    model::AccountKey,
    plugin::{Description, enclose, split},
    store::{
        self, Tx,
        set_aside::{Replay, SetAside},
    },
};

/// What came of working on something again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It is worked on, and set aside no more.
    Done,
    /// It, or a part of it, could not be worked on again, or is of an account all of
    /// whose connections are paused, and stays.
    Stayed,
}

impl Pipeline {
    /// Works again on something that was set aside. Where that fails for what is held
    /// of its account, it stays: all others wait behind it.
    ///
    /// # Errors
    ///
    /// Where the configuration, what was erased, or what is set aside changed
    /// meanwhile it is [`store::Error::Outdated`]: then nothing was
    /// done, and what waits is to be read again.
    pub async fn replay(&self, replay: Replay) -> Result<Replayed, Error> {
        let replayed = match self.work_again(replay.clone()).await {
            Err(error) if self.is_of_the_data(&error).await => self.leave(replay, &error).await?,
            replayed => replayed?,
        };
        self.metrics.replayed(replayed);
        self.notify_changed();
        Ok(replayed)
    }

    /// Leaves something set aside that cannot be applied.
    async fn leave(&self, replay: Replay, error: &Error) -> Result<Replayed, Error> {
        let what = &replay.what;
        tracing::error!(
            id = replay.id,
            connector = what.connector,
            account = what.account.as_ref().map(|account| account.as_str()),
            position = what.position.0,
            %error,
            "something that was set aside cannot be applied, and stays"
        );
        let left = SetAside {
            reason: format!("it could not be applied: {error}"),
            ..what.clone()
        };
        let now = self.clock.now();
        let leave = move |tx: &Tx<'_>| match tx.end_replay(&replay, &[left], now)? {
            true => Ok(Replayed::Stayed),
            false => Err(store::Error::Outdated),
        };
        Ok(self.store.transact(leave).await?)
    }

    async fn work_again(&self, replay: Replay) -> Result<Replayed, Error> {
        let routing = self.routing().await?;
        let connector = &replay.what.connector;
        let (mut prepared, digest) = match self.plugins.of(connector) {
            Ok(versions) => {
                let serving = versions.serving();
                let digest = serving.active().digest().to_owned();
                let entry = Logged {
                    position: replay.what.position,
                    kind: replay.what.kind,
                    connector: connector.clone(),
                    received_at: replay.at,
                    body: as_logged(&replay.what, serving.active().description()),
                    is_damaged: false,
                };
                let how = (Purpose::Replay, Overrun::default());
                let preparing = self.prepare(routing, serving, vec![entry], how);
                (preparing.await?, digest)
            }
            // It stays what it is until one runs again.
            Err(_) => {
                let prepared = Prepared {
                    purpose: Purpose::Replay,
                    newest_erasure: routing.erased.newest,
                    set_aside: vec![replay.what.clone()],
                    ..Prepared::default()
                };
                (prepared, String::new())
            }
        };
        let unheard = std::mem::take(&mut prepared.unheard);
        let unheard = unheard
            .into_iter()
            .map(|(account, body)| as_it_was(&replay.what, account, body));
        prepared.set_aside.extend(unheard);
        let (keys, now) = (self.keys.clone(), self.clock.now());
        let apply = move |tx: &Tx<'_>| {
            let is_as_prepared = is_as_prepared(tx, &prepared)?
                && tx.newest_erasure()? == prepared.newest_erasure
                && tx.end_replay(&replay, &prepared.set_aside, now)?;
            if !is_as_prepared {
                return Err(store::Error::Outdated);
            }
            apply_told(tx, &keys, &prepared, &digest, Position::default(), now)?;
            Ok(prepared)
        };
        let prepared: Prepared = match self.store.transact_much(apply).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.braked(error).await.into()),
        };
        Ok(match prepared.set_aside.is_empty() {
            true => Replayed::Done,
            false => Replayed::Stayed,
        })
    }
}

/// A part of what was set aside that stays so, for what it was.
fn as_it_was(what: &SetAside, account: AccountKey, body: Vec<u8>) -> SetAside {
    SetAside {
        position: what.position,
        kind: what.kind,
        connector: what.connector.clone(),
        account: Some(account),
        reason: what.reason.clone(),
        plugin: what.plugin.clone(),
        body,
    }
}

/// The bytes of what was set aside, as a body of the log has them: elements that
/// were set aside are an array, whatever they stood in. The two cannot be taken
/// for one another: where elements stand within something, a body is no array.
fn as_logged(what: &SetAside, description: &Description) -> Vec<u8> {
    let at = description.body(what.kind);
    let elements = at
        .filter(|at| !at.elements.is_empty())
        .and_then(|at| Some((at, split(&what.body, &at.of_array()).ok()?)));
    match elements {
        Some((at, elements)) => enclose(at, elements.iter().map(|element| element.bytes)),
        None => what.body.clone(),
    }
}
