//! The steps of a shadow: each reads, compares, and in one transaction keeps what it
//! found and moves on.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    both::Both,
    compare::{Compared, compare_descriptions},
    mappings::Sample,
    pace::Pace,
};
use crate::{
    host::Host,
    log::Position,
    plugin::{Fault, Version},
    store::{
        self, Tx,
        shadows::{Place, Shadow, Step, Work},
    },
    sync::versions::{Error, switch},
    telemetry::spawn_blocking,
};

/// How often it says that it is at the log's end while nothing comes.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// How long it waits before it looks again whether a version can be run.
const TRY_EVERY: Duration = Duration::from_secs(10);

/// Entries, and bytes of them, that are compared at once at the most; and entries at
/// first.
const ENTRIES_MAX: usize = 1_024;
const BYTES_MAX: usize = 1024 * 1024;
const ENTRIES_FIRST: usize = 16;

/// How long a step works, or is made again entry by entry; and how long one works
/// after which it has more.
const WORK_MAX: Duration = Duration::from_secs(1);
const WORK_GROWS: Duration = Duration::from_millis(200);

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is no shadow.
    Idle,
    /// It is at the log's end.
    AtTheEnd,
    /// More, after a rest.
    After(Duration),
}

impl Next {
    /// What comes after a step of one shadow and one of another.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(one), Self::After(other)) => Self::After(one + other),
            (Self::After(rest), _) | (_, Self::After(rest)) => Self::After(rest),
            (Self::AtTheEnd, _) | (_, Self::AtTheEnd) => Self::AtTheEnd,
            (Self::Idle, Self::Idle) => Self::Idle,
        }
    }
}

/// What came of working at a pace.
struct Made {
    /// What was compared; none where it took too long.
    done: Option<Compared>,
    /// What was done for that.
    work: Work,
    worked: Duration,
    /// How long it still has to rest.
    owed: Duration,
}

/// What makes the steps of a connector's shadow.
pub struct Worker {
    host: Arc<Host>,
    /// The connector whose shadow it is.
    connector: String,
    stop: CancellationToken,
    /// The version that shadows, compiled.
    candidate: Option<Arc<Version>>,
    /// The digest of one that this release refuses, which it does for ever.
    refused: Option<String>,
    entries_max: usize,
    /// Up to there entries are compared one by one: something among them takes long.
    alone_to: Position,
    /// How many entries waited, and how many differences there were, when it last
    /// looked.
    pub seen: (u64, u64),
}

impl Worker {
    /// One that has not begun.
    pub fn new(host: Arc<Host>, connector: String, stop: CancellationToken) -> Self {
        Self {
            host,
            connector,
            stop,
            candidate: None,
            refused: None,
            entries_max: ENTRIES_FIRST,
            alone_to: Position::default(),
            seen: (0, 0),
        }
    }

    /// Makes a step.
    pub async fn step(&mut self) -> Result<Next, Error> {
        let active = self.host.plugins.active(&self.connector)?;
        let connector = self.connector.clone();
        let known = self.host.store.read(move |tx| {
            let Some(shadow) = tx.shadow(&connector)? else {
                return Ok(None);
            };
            let differences = tx.shadow_difference_count(shadow.id)?;
            Ok(Some((shadow, differences)))
        });
        let Some((shadow, differences)) = known.await? else {
            self.candidate = None;
            self.seen = (0, 0);
            return Ok(Next::Idle);
        };
        self.seen = (shadow.waiting, differences);
        if shadow.digest == active.digest() {
            let connector = shadow.connector;
            let ending = move |tx: &Tx<'_>| tx.end_shadow(&connector);
            self.host.store.transact(ending).await?;
            return Ok(Next::After(Duration::ZERO));
        }
        let Some(candidate) = self.candidate(&shadow).await? else {
            return Ok(Next::After(TRY_EVERY));
        };
        let both = Both { active, candidate };
        if shadow.against.as_deref() != Some(both.active.digest()) {
            self.alone_to = Position::default();
            self.begin(&shadow, &both).await?;
            return Ok(Next::After(Duration::ZERO));
        }
        match shadow.step {
            Step::Mappings => self.mappings(shadow, both).await,
            Step::Log => self.log(shadow, both).await,
        }
    }

    /// The version that shadows, compiled; none where it cannot be run, which is said.
    async fn candidate(&mut self, shadow: &Shadow) -> Result<Option<Arc<Version>>, Error> {
        let known = self.candidate.as_ref();
        if let Some(known) = known.filter(|known| known.digest() == shadow.digest) {
            return Ok(Some(known.clone()));
        }
        if self.refused.as_ref() == Some(&shadow.digest) {
            return Ok(None);
        }
        self.entries_max = ENTRIES_FIRST;
        self.alone_to = Position::default();
        let digest = shadow.digest.clone();
        let version = self.host.store.read(move |tx| tx.plugin_version(&digest));
        match switch::load(&self.host, &version.await?).await {
            Ok(version) => {
                self.candidate = Some(version.clone());
                Ok(Some(version))
            }
            Err(error @ (Error::Store(_) | Error::Ended)) => Err(error),
            Err(error) => {
                if matches!(error, Error::Engine(_) | Error::Install(_)) {
                    self.refused = Some(shadow.digest.clone());
                }
                let (id, problem) = (shadow.id, error.to_string());
                if shadow.problem.as_ref() != Some(&problem) {
                    tracing::warn!(digest = shadow.digest, %error, "a plugin version cannot be compared with the active one");
                }
                let say = move |tx: &Tx<'_>| tx.set_shadow_problem(id, &problem);
                self.host.store.transact(say).await?;
                Ok(None)
            }
        }
    }

    /// Begins, or begins anew, and compares what the versions say they are.
    async fn begin(&self, shadow: &Shadow, both: &Both) -> Result<(), Error> {
        let position = match shadow.since {
            Some(since) => self.host.log.before(since).await?,
            None => Position::default(),
        };
        let (id, against) = (shadow.id, both.active.digest().to_owned());
        tracing::info!(
            digest = shadow.digest,
            against,
            from = position.0,
            "a plugin version is compared with the active one"
        );
        let compared =
            compare_descriptions(both.active.description(), both.candidate.description());
        let begin = move |tx: &Tx<'_>| {
            if tx.begin_shadow(id, &against, position)? {
                keep(tx, id, &compared)?;
            }
            Ok(())
        };
        Ok(self.host.store.transact(begin).await?)
    }

    /// Compares what the versions say of the next connection's mappings.
    async fn mappings(&self, shadow: Shadow, both: Both) -> Result<Next, Error> {
        let (after, texts) = (shadow.connection, shadow.work.texts);
        let connector = self.connector.clone();
        let sample = self
            .host
            .store
            .read(move |tx| Sample::next(tx, &connector, after, texts));
        let (id, mut place) = (shadow.id, shadow.place());
        let Some(sample) = sample.await? else {
            place.step = Step::Log;
            let going_on = move |tx: &Tx<'_>| tx.move_shadow(id, &place, &Work::default());
            self.host.store.transact(going_on).await?;
            return Ok(Next::After(Duration::ZERO));
        };
        let (account, configuration) = sample.configuration();
        place.connection = sample.connection();
        let comparing = move |pace: &Pace, work: &mut Work| sample.compare(&both, pace, work);
        let made = self.work(Duration::MAX, comparing);
        let Made {
            done, work, owed, ..
        } = made.await?;
        if let Some(compared) = done {
            let keeping = move |tx: &Tx<'_>| {
                if !tx.is_configuration(account, configuration)? {
                    return Err(store::Error::Outdated);
                }
                go_on(tx, id, (&place, &work), &compared)
            };
            self.host.store.transact(keeping).await?;
        }
        Ok(Next::After(owed))
    }

    /// Compares what the versions make of what comes next in the log.
    async fn log(&mut self, shadow: Shadow, both: Both) -> Result<Next, Error> {
        let tail = *self.host.log.tail().borrow();
        let (id, mut place) = (shadow.id, shadow.place());
        let before = shadow.place();
        let entries_max = match place.position < self.alone_to {
            true => 1,
            false => self.entries_max,
        };
        let reading = self.host.log.read(place.position, entries_max, BYTES_MAX);
        let mut entries = reading.await?;
        let now = self.host.clock.now();
        let Some(last) = entries.last().map(|entry| entry.position) else {
            self.at_the_end(id, place).await?;
            return Ok(Next::AtTheEnd);
        };
        place.position = last;
        place.waiting = u64::try_from(tail.0 - last.0).unwrap_or_default();
        if place.waiting == 0 {
            place.caught_up_at = Some(now);
        }
        // Another connector's are not its to read.
        entries.retain(|entry| entry.connector == self.connector);
        let routing = self.host.pipeline.routing().await?;
        let known = (routing.configuration, routing.erased.newest);
        let worked_max = match entries.len() {
            0 | 1 => Duration::MAX,
            _ => WORK_MAX,
        };
        let made = self.work(worked_max, move |pace, work| {
            both.compare(&routing, &entries, pace, work)
        });
        let Made {
            done,
            work,
            worked,
            owed,
        } = made.await?;
        let Some(compared) = done else {
            // Nothing of these is compared, yet what failed together may not alone.
            self.alone_to = last;
            let counting = move |tx: &Tx<'_>| tx.move_shadow(id, &before, &work).map(drop);
            self.host.store.transact(counting).await?;
            return Ok(Next::After(owed));
        };
        if worked < WORK_GROWS {
            self.entries_max = (self.entries_max * 2).min(ENTRIES_MAX);
        }
        let keeping = move |tx: &Tx<'_>| {
            if (tx.configuration()?, tx.newest_erasure()?) != known {
                return Err(store::Error::Outdated);
            }
            go_on(tx, id, (&place, &work), &compared)
        };
        self.host.store.transact(keeping).await?;
        Ok(Next::After(owed))
    }

    /// Says that it is at the log's end, from time to time.
    async fn at_the_end(&self, id: i64, place: Place) -> Result<(), Error> {
        let now = self.host.clock.now();
        let said = |at| now.since(at) < SAY_EVERY;
        if place.waiting == 0 && place.caught_up_at.is_some_and(said) {
            return Ok(());
        }
        let place = Place {
            waiting: 0,
            caught_up_at: Some(now),
            ..place
        };
        let saying = move |tx: &Tx<'_>| tx.move_shadow(id, &place, &Work::default());
        self.host.store.transact(saying).await?;
        Ok(())
    }

    /// Compares at a pace, on a thread of its own.
    async fn work(
        &self,
        worked_max: Duration,
        compare: impl FnOnce(&Pace, &mut Work) -> Result<Compared, Fault> + Send + 'static,
    ) -> Result<Made, Error> {
        let stop = self.stop.clone();
        let working = spawn_blocking(move || {
            let pace = Pace::begin(stop, worked_max);
            let mut work = Work::default();
            let done = compare(&pace, &mut work);
            let (worked, owed) = (pace.worked(), pace.owed());
            work.worked_microseconds = u64::try_from(worked.as_micros()).unwrap_or(u64::MAX);
            let done = match done {
                Ok(compared) => Some(compared),
                Err(_) if pace.is_over() => None,
                Err(fault) => return Err(fault),
            };
            Ok(Made {
                done,
                work,
                worked,
                owed,
            })
        });
        let made = working.await.map_err(|_| Error::Ended)??;
        self.host.metrics.shadow_worked(made.worked);
        Ok(made)
    }
}

/// Keeps what was found, and moves on, unless the shadow is gone.
fn go_on(
    tx: &Tx<'_>,
    id: i64,
    (place, work): (&Place, &Work),
    compared: &Compared,
) -> Result<(), store::Error> {
    if tx.move_shadow(id, place, work)? {
        keep(tx, id, compared)?;
    }
    Ok(())
}

fn keep(tx: &Tx<'_>, id: i64, compared: &Compared) -> Result<(), store::Error> {
    for (difference, count) in &compared.differences {
        tx.add_shadow_difference(id, difference, *count)?;
    }
    tx.add_shadow_examples(id, &compared.examples)
}
