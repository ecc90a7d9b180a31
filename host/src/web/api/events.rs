//! A connection as it changes: server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    activity::Activity,
    connection_state::{self, Connection},
    extract::{Path, Reader},
    syncs::{self, Sync},
};
use crate::{
    host::Host,
    model::{ConnectionId, ProjectId, RunId},
    store::{self, projects::Purpose},
    web::{
        error::Error,
        pages::streams::{Place, Streams, Whose},
        problem::Problem,
    },
};

/// How long changes are gathered after something was said.
const GATHER: Duration = Duration::from_millis(250);

/// How often it is looked though nothing says that something changed: numbers
/// move with time, and so ends a token.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Lines of activity that one look says, at most; what is beyond says the next, as
/// soon as these are taken.
const LINES_MAX: usize = 100;

/// Syncs whose progress is told: those under way are at most two.
const SYNCS_MAX: usize = 5;

/// What all streams of the API share.
#[derive(Clone)]
pub struct Shared {
    /// How many are open.
    pub streams: Streams,
    /// When to end.
    pub stop: CancellationToken,
}

/// What a look found to be said.
struct Found {
    connection: Connection,
    syncs: Vec<Sync>,
    lines: Vec<(i64, Activity)>,
}

struct Stream {
    host: Arc<Host>,
    stop: CancellationToken,
    token: [u8; 32],
    project: ProjectId,
    id: ConnectionId,
    changed: watch::Receiver<u64>,
    looked_at: Instant,
    is_due: bool,
    /// What was said last under a name.
    said: std::collections::HashMap<&'static str, String>,
    /// The newest line of activity that was said.
    line: i64,
    waiting: std::collections::VecDeque<Event>,
    _place: Place,
}

/// A connection as it changes, as server-sent events, each with JSON as its data:
/// `status` with `{status, problem, live}`; `freshness` with
/// `{p50_seconds, p95_seconds}`; `progress` with the syncs that are under way, and
/// each once more when it is over; `activity` with one line of activity, its
/// number as the event's id. When it opens, and whenever one of the first three
/// differs from what was said last, it is said whole. `Last-Event-ID` goes on
/// after that line of activity. It ends with the token, the connection or the
/// host; a line that begins with a colon only keeps it open.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/events",
    tag = "connections", operation_id = "follow_connection",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 503, description = "Too many streams are open.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn follow(
    State(host): State<Arc<Host>>,
    Extension(shared): Extension<Shared>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let project = reader.project;
    let after = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let newest = host.store.read(move |tx| {
        tx.connection(project, id)?;
        tx.newest_activity(id)
    });
    let newest = newest.await?;
    let place = shared.streams.place(Whose::Project(project), reader.token);
    let start = Stream {
        changed: host.pipeline.changed(),
        host,
        stop: shared.stop,
        token: reader.token,
        project,
        id,
        looked_at: Instant::now(),
        is_due: true,
        said: std::collections::HashMap::new(),
        line: after.map_or(newest, |after: i64| after.clamp(0, newest)),
        waiting: std::collections::VecDeque::new(),
        _place: place.ok_or(Error::TooManyStreams)?,
    };
    let events = stream::unfold(start, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    // Some proxies gather an answer unless they are asked not to.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events)).into_response())
}

impl Stream {
    /// The next thing to say; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.is_due {
                self.is_due = false;
                self.look().await?;
                continue;
            }
            self.is_due = true;
            tokio::select! {
                moved = self.changed.changed() => moved.ok()?,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    self.is_due = false;
                    self.look().await?;
                    self.waiting.push_back(Event::default().comment("still here"));
                }
                () = self.stop.cancelled() => return None,
            }
            tokio::time::sleep_until(self.looked_at + GATHER).await;
        }
    }

    /// Looks for what has to be said; none where the stream is over.
    async fn look(&mut self) -> Option<()> {
        self.changed.mark_unchanged();
        self.looked_at = Instant::now();
        let found = match self.find().await {
            Ok(found) => found?,
            Err(store::Error::NotFound(_)) => return None,
            // A busy store; the next change is another chance.
            Err(_) => return Some(()),
        };
        let Found {
            connection,
            syncs,
            lines,
        } = found;
        let status = serde_json::json!({
            "status": connection.status,
            "problem": connection.problem,
            "live": connection.live,
        });
        self.say("status", &status);
        self.say("freshness", &connection.freshness);
        self.say("progress", &syncs);
        self.is_due |= lines.len() == LINES_MAX;
        for (number, line) in lines {
            self.line = self.line.max(number);
            if let Ok(event) = Event::default().event("activity").json_data(&line) {
                self.waiting.push_back(event.id(number.to_string()));
            }
        }
        Some(())
    }

    /// Says something where it differs from what was said last.
    fn say(&mut self, name: &'static str, what: &impl Serialize) {
        let Ok(text) = serde_json::to_string(what) else {
            return;
        };
        if self.said.get(name) != Some(&text) {
            self.waiting
                .push_back(Event::default().event(name).data(&text));
            self.said.insert(name, text);
        }
    }

    async fn find(&self) -> Result<Option<Found>, store::Error> {
        let (token, project, id, line) = (self.token, self.project, self.id, self.line);
        let now = self.host.clock.now();
        let found = self.host.store.read(move |tx| {
            if tx.token_holder(token, Purpose::Api, now)?.is_none() {
                return Ok(None);
            }
            let state = connection_state::load(tx, tx.connection(project, id)?, now)?;
            let mut syncs = Vec::new();
            for run in tx.runs(id, RunId(i64::MAX), SYNCS_MAX)? {
                // What was over before is in the list of syncs.
                if run.status.is_open() || run.finished_at.is_some_and(|at| now.since(at) < RECENT)
                {
                    syncs.push(syncs::show(tx, run, now)?);
                }
            }
            let lines = tx.activity_after(id, line, LINES_MAX)?.into_iter();
            let lines = lines.map(|(number, line)| (number, line.into())).collect();
            Ok(Some((state, syncs, lines)))
        });
        let found = found.await?;
        Ok(found.map(|(state, syncs, lines)| Found {
            connection: state.shown(&self.host),
            syncs,
            lines,
        }))
    }
}

/// How long what is over is told once more.
const RECENT: Duration = Duration::from_secs(30);
