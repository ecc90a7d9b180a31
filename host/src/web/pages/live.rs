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
    format::Calendar,
    profile::{Place, Profile},
    record_links::RecordLinks,
    streams::{self, Whose},
};
use crate::{
    host::Host,
    model::UserId,
    store::{self, Tx},
    web::session::Session,
};

/// How long changes are gathered after a part was rendered; the first one shows
/// at once. Any project's change is a reason to look.
const GATHER: Duration = Duration::from_millis(250);

/// How often something is sent when nothing changes, so that no proxy takes the
/// stream for dead; and how soon a session's end is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A part of a page that is shown as it changes.
pub(super) trait Part: Clone + Send + Sync + 'static {
    /// What is shown.
    type Shown: Template + Send + 'static;

    /// Gets ready what [`Part::load`] needs and the store does not have.
    fn prepare(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Reads what is shown to a session.
    ///
    /// # Errors
    ///
    /// [`store::Error::NotFound`] ends the stream: what it is about is gone.
    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<Self::Shown, store::Error>;

    /// How often to look though nothing says that something changed: for what
    /// moves with time alone.
    fn looks_every(&self) -> Duration {
        KEEP_ALIVE
    }

    /// Whether it asks over all users, which may take long.
    fn is_question(&self) -> bool {
        false
    }

    /// How long changes are gathered: longer where it costs more to look.
    fn gathers(&self) -> Duration {
        GATHER
    }
}

/// Whose streams a session's are counted with.
fn whose(session: &Session) -> Whose {
    match &session.person {
        Some(person) if session.operates => Whose::Operator(person.id),
        _ => Whose::Project(session.project.id),
    }
}

/// Streams a part of a page; what it is about has to be there.
pub(super) async fn stream<P: Part>(visit: Visit, part: P) -> Result<Response, Error> {
    let (first, session) = (part.clone(), visit.session.clone());
    let calendar = visit.calendar();
    let look = move |tx: &Tx<'_>| first.load(tx, &session, &calendar).map(drop);
    // What is a question is asked by the stream alone: once is enough.
    if !part.is_question() {
        visit.host.store.read(look).await?;
    }
    let streams = &visit.surroundings.streams;
    let place = streams.place(whose(&visit.session), visit.session.hash);
    let stream_place = place.ok_or(Error::TooManyStreams)?;
    let start = Stream {
        changed: visit.host.pipeline.changed(),
        host: visit.host,
        session: visit.session.hash,
        surroundings: visit.surroundings,
        part,
        is_due: true,
        looked_at: Instant::now(),
        sent: None,
        _stream_place: stream_place,
    };
    let events = stream::unfold(start, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    // Some proxies gather an answer unless they are asked not to.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events)).into_response())
}

struct Stream<P> {
    host: Arc<Host>,
    session: [u8; 32],
    surroundings: Surroundings,
    part: P,
    changed: watch::Receiver<u64>,
    /// Whether to look before waiting.
    is_due: bool,
    looked_at: Instant,
    sent: Option<String>,
    _stream_place: streams::Place,
}

impl<P: Part> Stream<P> {
    /// The next thing to send; none at the end.
    async fn next(&mut self) -> Option<Event> {
        let silent_since = Instant::now();
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
                () = tokio::time::sleep(self.part.looks_every()) => {
                    if silent_since.elapsed() >= KEEP_ALIVE {
                        return Some(Event::default().comment("still here"));
                    }
                }
                () = self.surroundings.stop.cancelled() => return None,
            }
            tokio::time::sleep_until(self.looked_at + self.part.gathers()).await;
        }
    }

    /// What has to be said; inner none where nothing is new, outer none where
    /// the stream is over.
    async fn render(&mut self) -> Option<Option<Event>> {
        self.changed.mark_unchanged();
        self.part.prepare().await;
        let (hash, part) = (self.session, self.part.clone());
        let now = self.host.clock.now();
        let work = move |tx: &Tx<'_>| {
            let Some(session) = Session::find(tx, hash, now)? else {
                return Ok(None);
            };
            let calendar = calendar(&session, now);
            part.load(tx, &session, &calendar).map(Some)
        };
        let read = match self.part.is_question() {
            true => self.host.store.ask(work).await,
            false => self.host.store.read(work).await,
        };
        // What took long is not asked again at once.
        self.looked_at = Instant::now();
        let html = match read {
            Ok(Some(shown)) => shown.render().ok()?,
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

/// A user's profile.
#[derive(Clone)]
struct ProfilePart {
    user: UserId,
    place: Place,
    links: RecordLinks,
}

impl Part for ProfilePart {
    type Shown = Profile;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<Profile, store::Error> {
        let project = session.project.id;
        Profile::load(tx, project, self.user, self.place, calendar, &self.links)
    }
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
    let part = ProfilePart {
        user: user.parse().map_err(|_| Error::NotFound("user"))?,
        place: query.place,
        links: RecordLinks::new(&visit.host, &visit.surroundings),
    };
    stream(visit, part).await
}
