//! What stands above a connection's pages, brought up to date together with what is
//! below it: they never say two things at once.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::{
    super::{
        super::{
            Banner, Error, Visit, base,
            extract::{Path, Query},
            format::Calendar,
            live::{self, Part},
        },
        Found, found,
        integrations::Connectors,
        without,
    },
    Account, Standing, Tab,
};
use crate::{
    host::Host,
    model::{ConnectionId, Status},
    store::{self, Tx},
    web::session::Session,
};

/// A part of a connection's page, with the banners and the head above it.
#[derive(Clone)]
struct Headed<P> {
    host: Arc<Host>,
    id: ConnectionId,
    /// Whether the part says itself what banners would say of the connection.
    tells_itself: bool,
    part: P,
}

#[derive(Template)]
#[template(path = "integrations/headed.html")]
struct Shown<S: Template> {
    base: String,
    csrf: Option<String>,
    banners: Vec<Banner>,
    standing: Standing,
    account: Option<Account>,
    part: S,
}

impl<P: Part> Part for Headed<P> {
    type Shown = Shown<P::Shown>;

    async fn prepare(&mut self) {
        self.part.prepare().await;
    }

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<Self::Shown, store::Error> {
        let project = session.project.id;
        let connection = tx.connection(project, self.id)?;
        let Found { banners, asking } = found(tx, project, &Connectors::of(&self.host))?;
        let asks = connection.problem.is_some() || asking.contains(&self.id);
        let account = match &connection.account {
            Some((account, key)) => Some(Account::of(key, tx.account(*account)?.domain)),
            None => None,
        };
        let csrf = session.may_change().then(|| session.csrf(&self.host));
        Ok(Shown {
            base: base(&self.host),
            csrf: csrf.map(|csrf| csrf.expose().to_owned()),
            banners: match self.tells_itself {
                true => without(banners, self.id),
                false => banners,
            },
            standing: Standing::new(connection.status, asks),
            account,
            part: self.part.load(tx, session, calendar)?,
        })
    }

    fn looks_every(&self) -> Duration {
        self.part.looks_every()
    }

    fn is_question(&self) -> bool {
        self.part.is_question()
    }

    fn gathers(&self) -> Duration {
        self.part.gathers()
    }
}

/// Streams a part of a connection's page, with what stands above it. `tells_itself`:
/// whether the part says itself what banners would say of the connection.
pub(super) async fn stream<P: Part>(
    visit: Visit,
    id: ConnectionId,
    tells_itself: bool,
    part: P,
) -> Result<Response, Error> {
    let host = visit.host.clone();
    let headed = Headed {
        host,
        id,
        tells_itself,
        part,
    };
    live::stream(visit, headed).await
}

/// Nothing: of most pages what stands above them alone is live.
#[derive(Clone)]
struct Nothing;

#[derive(Template)]
#[template(source = "", ext = "html")]
struct Empty;

impl Part for Nothing {
    type Shown = Empty;

    fn load(&self, _: &Tx<'_>, _: &Session, _: &Calendar) -> Result<Empty, store::Error> {
        Ok(Empty)
    }
}

/// That a connection is finished whose page waits for it: the page is another then.
#[derive(Clone)]
struct Finished(ConnectionId);

#[derive(Template)]
#[template(
    source = "{% if is_finished %}<p data-load-again></p>{% endif %}",
    ext = "html"
)]
struct LoadAgain {
    is_finished: bool,
}

impl Part for Finished {
    type Shown = LoadAgain;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        _: &Calendar,
    ) -> Result<LoadAgain, store::Error> {
        let connection = tx.connection(session.project.id, self.0)?;
        let is_finished = connection.status != Status::Pending;
        Ok(LoadAgain { is_finished })
    }
}

/// The stream of a page of a connection, of which what stands above it alone is live.
pub(super) const STREAM: &str = "/head/live";

/// [`STREAM`], of a tab of a connection that stands so: of one that is another once the
/// connection is finished, until then.
pub(super) fn stream_of(tab: Tab, status: Status) -> &'static str {
    match status {
        Status::Pending if tab.waits() => "/head/live?until=finished",
        _ => STREAM,
    }
}

/// Until when the page is as it is.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Until {
    Finished,
}

/// What the page is like that follows the stream.
#[derive(Deserialize)]
pub struct LiveQuery {
    until: Option<Until>,
}

/// `GET …/head/live`.
pub async fn live(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<LiveQuery>,
) -> Result<Response, Error> {
    match query.until {
        Some(Until::Finished) => stream(visit, id, false, Finished(id)).await,
        None => stream(visit, id, false, Nothing).await,
    }
}
