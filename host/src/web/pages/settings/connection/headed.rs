//! What stands above a connection's pages, brought up to date together with what is
//! below it: they never say two things at once.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::response::Response;

use super::{
    super::{
        super::{
            Banner, Error, Visit, base,
            extract::Path,
            format::Calendar,
            live::{self, Part},
        },
        Found, found,
        integrations::Connectors,
        without,
    },
    Account, Standing,
};
use crate::{
    host::Host,
    model::ConnectionId,
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

/// `GET …/head/live`.
pub async fn live(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Response, Error> {
    stream(visit, id, false, Nothing).await
}
