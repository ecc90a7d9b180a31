//! The tasks of a host, which end when it is told to stop. One that ends before, by
//! a defect, is no longer at work while all else seems well: so it ends the host.

use std::{collections::HashMap, future::Future};

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

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

#[cfg(test)]
mod tests {
    use super::*;

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
