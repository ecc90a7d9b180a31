//! The tasks of a host, which end when it is told to stop. One that ends before, by
//! a defect, is no longer at work while all else seems well: so it ends the host.
//! And its errands, which end by themselves.

use std::{collections::HashMap, future::Future};

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// A task ended unasked; a defect.
#[derive(Debug, thiserror::Error)]
#[error("{task} ended unasked{}: this is a defect, and the log says more", why(.source))]
pub struct Ended {
    /// What it worked on.
    pub task: &'static str,
    /// How, where it panicked.
    pub source: Option<JoinError>,
}

fn why(source: &Option<JoinError>) -> &'static str {
    match source {
        Some(_) => ", by a panic",
        None => "",
    }
}

/// Tasks that run until they are told to stop.
pub struct Tasks {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// None yet. `stop` tells them to stop.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop,
        }
    }

    /// Begins one; `name` says what it works on.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for one that ends before it was told to, or panics; for ever where all
    /// do as they are told.
    pub async fn defect(&mut self) -> Ended {
        match self.next_defect().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended. Returns the first that panicked.
    pub async fn all(&mut self) -> Result<(), Ended> {
        match self.next_defect().await {
            Some(ended) => {
                while self.next_defect().await.is_some() {}
                Err(ended)
            }
            None => Ok(()),
        }
    }

    /// The next that ends otherwise than it should; none where no more are there.
    async fn next_defect(&mut self) -> Option<Ended> {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (id, source) = match ended {
                Ok((_, ())) if self.stop.is_cancelled() => continue,
                Ok((id, ())) => (id, None),
                Err(error) => (error.id(), Some(error)),
            };
            let task = self.names.get(&id).copied().unwrap_or("a task");
            let ended = Ended { task, source };
            tracing::error!(error = %ended, "the host cannot go on");
            return Some(ended);
        }
        None
    }
}

/// What was asked for and is done to its end, though whoever asked goes away
/// meanwhile. A host that stops waits for it.
#[derive(Default)]
pub struct Errands {
    errands: TaskTracker,
    given_up: CancellationToken,
}

impl Errands {
    /// Begins one, and waits for what comes of it: nothing where it panicked, or was
    /// given up.
    pub fn spawn<T, E>(&self, errand: E) -> impl Future<Output = Option<T>> + Send + use<T, E>
    where
        T: Send + 'static,
        E: Future<Output = T> + Send + 'static,
    {
        let given_up = self.given_up.clone();
        let errand = async move { given_up.run_until_cancelled(errand).await };
        let begun = self.errands.spawn(errand.in_current_span());
        async move { begun.await.ok().flatten() }
    }

    /// Waits until none is under way.
    pub async fn all(&self) {
        self.errands.close();
        self.errands.wait().await;
    }

    /// Gives up those that are under way, and all that are begun from now on.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_errand_is_waited_for_though_nobody_asks_for_what_comes_of_it() {
        let errands = Errands::default();
        let go = CancellationToken::new();
        let waits = go.clone();
        drop(errands.spawn(async move { waits.cancelled().await }));
        let mut all = std::pin::pin!(errands.all());
        assert!(futures_util::poll!(all.as_mut()).is_pending());
        go.cancel();
        all.await;
        assert_eq!(errands.spawn(async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn nothing_comes_of_an_errand_that_panics_or_is_given_up() {
        let errands = Errands::default();
        let broken = errands.spawn(async { panic!("a test") });
        assert_eq!(broken.await, None::<()>);
        let endless = errands.spawn(std::future::pending::<()>());
        errands.give_up();
        errands.all().await;
        assert_eq!(endless.await, None);
    }

    /// A task that does as it is told.
    fn good(stop: &CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        stop.clone().cancelled_owned()
    }

    #[tokio::test]
    async fn a_task_that_panics_is_told_by_its_name() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("what is well", good(&stop));
        tasks.spawn("what is broken", async { panic!("a test") });
        let ended = tasks.defect().await.to_string();
        assert!(
            ended.starts_with("what is broken ended unasked, by a panic"),
            "{ended}"
        );
        stop.cancel();
        assert!(tasks.all().await.is_ok());
    }

    #[tokio::test]
    async fn a_task_that_ends_before_it_is_told_to_is_one_too() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("what is well", good(&stop));
        tasks.spawn("what is over", async {});
        assert_eq!(tasks.defect().await.task, "what is over");
        stop.cancel();
        assert!(tasks.all().await.is_ok());
    }

    #[tokio::test]
    async fn one_that_panics_while_it_stops_is_told_once_all_have_ended() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("what is well", good(&stop));
        let stopping = good(&stop);
        tasks.spawn("what is broken", async {
            stopping.await;
            panic!("a test");
        });
        stop.cancel();
        let ended = tasks.all().await.expect_err("a defect");
        assert_eq!(ended.task, "what is broken");
    }
}
