//! Parts of pages as they change, as server-sent events.
//!
//! A stream says the whole part when it opens, and again whenever it differs
//! from what was said last. It ends with the session, the host, or what it is
//! about.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::response::{
    IntoResponse, Response,
    sse::{Event, Sse},
};
use futures_util::stream;
use tokio::{sync::watch, time::Instant};

use super::{
    Error, Surroundings, Visit, calendar,
    extract::{Path, Query},
    profile::{Place, Profile, RecordLinks},
    streams,
};
use crate::{host::Host, model::UserId, store, web::session::Session};

/// How long changes are gathered after a part was rendered; the first one shows
/// at once. Any project's change is a reason to look.
const GATHER: Duration = Duration::from_millis(250);

/// How often something is sent when nothing changes, so that no proxy takes the
/// stream for dead; and how soon a session's end is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct ProfileStream {
    host: Arc<Host>,
    session: Session,
    surroundings: Surroundings,
    user: UserId,
    place: Place,
    changed: watch::Receiver<u64>,
    /// Whether to look before waiting.
    is_due: bool,
    looked_at: Instant,
    sent: Option<String>,
    _stream_place: streams::Place,
}

/// Which part is asked for.
#[derive(serde::Deserialize)]
pub struct LiveQuery {
    #[serde(default)]
    place: Place,
}

/// `GET /users/{user}/live`.
pub async fn profile(
    visit: Visit,
    Path(user): Path<String>,
    Query(query): Query<LiveQuery>,
) -> Result<Response, Error> {
    let user: UserId = user.parse().map_err(|_| Error::NotFound("user"))?;
    let project = visit.session.project.id;
    visit
        .host
        .store
        .read(move |tx| tx.user(project, user))
        .await?;
    let streams = &visit.surroundings.streams;
    let place = streams.place(visit.session.hash);
    let stream_place = place.ok_or(Error::TooManyStreams)?;
    let start = ProfileStream {
        changed: visit.host.pipeline.changed(),
        host: visit.host,
        session: visit.session,
        surroundings: visit.surroundings,
        user,
        place: query.place,
        is_due: true,
        looked_at: Instant::now(),
        sent: None,
        _stream_place: stream_place,
    };
    let events = stream::unfold(start, |mut profile| async move {
        let event = profile.next().await?;
        Some((Ok::<_, Infallible>(event), profile))
    });
    // Some proxies gather an answer unless they are asked not to.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events)).into_response())
}

impl ProfileStream {
    /// The next thing to send; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.is_due {
                self.is_due = false;
                if let Some(event) = self.render().await? {
                    return Some(event);
                }
            }
            self.is_due = true;
            tokio::select! {
                moved = self.changed.changed() => moved.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    return Some(Event::default().comment("still here"));
                }
                () = self.surroundings.stop.cancelled() => return None,
            }
            tokio::time::sleep_until(self.looked_at + GATHER).await;
        }
    }

    /// What has to be said; inner none where nothing is new, outer none where
    /// the stream is over.
    async fn render(&mut self) -> Option<Option<Event>> {
        self.changed.mark_unchanged();
        self.looked_at = Instant::now();
        let (hash, user, place) = (self.session.hash, self.user, self.place);
        let now = self.host.clock.now();
        let links = RecordLinks::new(&self.host, &self.surroundings);
        let read = self.host.store.read(move |tx| {
            let Some(session) = Session::find(tx, hash, now)? else {
                return Ok(None);
            };
            let calendar = calendar(&session, now);
            Profile::load(tx, session.project.id, user, place, &calendar, &links).map(Some)
        });
        let html = match read.await {
            Ok(Some(profile)) => profile.render().ok()?,
            Ok(None) | Err(store::Error::NotFound(_)) => return None,
            // A busy store; the next change is another chance.
            Err(_) => return Some(None),
        };
        if self.sent.as_ref() == Some(&html) {
            return Some(None);
        }
        // As JSON, because an event's data cannot hold every character.
        let event = Event::default().event("part").json_data(&html).ok()?;
        self.sent = Some(html);
        Some(Some(event))
    }
}
