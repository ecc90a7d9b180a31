//! What a connection is, how far its setup is, and how it works.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::response::{Html, Response};

use super::{
    super::{
        super::{
            Error, Frame, Visit, base,
            extract::Path,
            format::{self, Calendar, Moment},
            html,
            live::Part,
        },
        path,
    },
    Shell, Tab,
    fields::shown::in_words,
    headed, live_at,
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectMapping, Status, Timestamp, UserIdentifier},
    sources::Source,
    store::{self, Tx},
    web::{
        api::connection_state::{self, Connection},
        session::Session,
    },
};

/// How far the setup is, a step after the other.
struct Setup {
    /// The rule that contacts are matched by, once there is one.
    matching: Option<String>,
    fields: usize,
    full_sync: Option<Moment>,
    /// Whether a full sync can be made.
    is_read: bool,
    /// Whether a segment names a variable that it feeds.
    has_segment: bool,
}

impl Setup {
    /// How many steps there are, connecting the first.
    fn steps(&self) -> usize {
        4 + usize::from(self.is_read)
    }

    /// How many of them are done.
    fn done(&self) -> usize {
        let steps = [
            true,
            self.matching.is_some(),
            self.fields > 0,
            self.is_read && self.full_sync.is_some(),
            self.has_segment,
        ];
        steps.into_iter().filter(|is_done| *is_done).count()
    }

    fn is_done(&self) -> bool {
        self.done() == self.steps()
    }

    /// Whether all but a segment is done.
    fn is_filled(&self) -> bool {
        self.fields > 0 && (self.full_sync.is_some() || !self.is_read)
    }
}

/// How it works, as the page shows it and brings up to date.
#[derive(Template)]
#[template(path = "integrations/overview_facts.html")]
struct Facts {
    /// Whether its records can be read.
    is_read: bool,
    p50: Option<String>,
    p95: Option<String>,
    last_delivery: Option<Moment>,
    last_catch_up: Option<Moment>,
    last_full_sync: Option<Moment>,
    updated: String,
}

impl Facts {
    fn of(state: &Connection, calendar: &Calendar) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| calendar.moment(at));
        let updated = state.counts.done.get("updated").copied();
        Self {
            is_read: Source::of(&state.connector).is_read(),
            p50: state.freshness.p50_seconds.map(format::seconds),
            p95: state.freshness.p95_seconds.map(format::within),
            last_delivery: moment(state.last_delivery_at),
            last_catch_up: moment(state.last_catch_up_at),
            last_full_sync: moment(state.last_full_sync_at),
            updated: format::count(updated.unwrap_or_default()),
        }
    }
}

/// How it is stopped, and goes on.
#[derive(Template)]
#[template(path = "integrations/stop.html")]
struct Stop {
    base: String,
    /// The connection's path.
    path: String,
    /// What its forms carry; none for who may not change anything.
    csrf: Option<String>,
    status: Status,
    /// Whether its records can be read: then a consent can be renewed.
    is_read: bool,
}

impl Stop {
    fn of(host: &Host, session: &Session, state: &connection_state::Connection) -> Self {
        let csrf = session.may_change().then(|| session.csrf(host));
        Self {
            base: base(host),
            path: path(state.id, ""),
            csrf: csrf.map(|csrf| csrf.expose().to_owned()),
            status: state.status,
            is_read: Source::of(&state.connector).is_read(),
        }
    }
}

/// What of the page is brought up to date.
#[derive(Template)]
#[template(path = "integrations/overview_live.html")]
struct Live {
    facts: Facts,
    stop: Stop,
}

#[derive(Template)]
#[template(path = "integrations/overview.html")]
struct OverviewPage {
    frame: Frame,
    shell: Shell,
    status: Status,
    setup: Setup,
    facts: Facts,
    stop: Stop,
}

/// `GET /settings/integrations/{connection}`.
pub async fn page(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Html<String>, Error> {
    let (mut frame, shell, state) = Shell::load(&visit, id, Tab::Overview).await?;
    // Until the consent is finished there is nothing below the head to bring up to date.
    if state.status != Status::Pending {
        frame.live = Some(live_at(&visit.host, id, "/live"));
    }
    let calendar = visit.calendar();
    let project = visit.session.project.id;
    let (mappings, names, has_segment) = visit
        .host
        .store
        .read(move |tx| {
            let has_segment = !tx.segments_fed_by(id)?.is_empty();
            Ok((tx.mappings(id)?, tx.variables(project)?, has_segment))
        })
        .await?;
    let rule = mappings
        .iter()
        .find_map(|mapping| mapping.matching.as_ref());
    let matching = rule.map(|rule| {
        let user = match rule.identifier {
            UserIdentifier::Email => "Email".to_owned(),
            UserIdentifier::ExternalId => "User ID".to_owned(),
            UserIdentifier::Variable(id) => {
                let variable = names.iter().find(|variable| variable.id == id);
                variable.map_or_else(String::new, |variable| variable.name.clone())
            }
        };
        let (property, label) = (in_words(&rule.property.name), &shell.label);
        format!("{property} in {label} is {user} in Jimo")
    });
    let mapped = |mapping: &ObjectMapping| {
        let fields = mapping.fields.iter();
        fields.filter(|field| field.variable.is_some()).count()
    };
    html(&OverviewPage {
        status: state.status,
        setup: Setup {
            matching,
            fields: mappings.iter().map(mapped).sum(),
            full_sync: state.last_full_sync_at.map(|at| calendar.moment(at)),
            is_read: shell.is_read,
            has_segment,
        },
        facts: Facts::of(&state, &calendar),
        stop: Stop::of(&visit.host, &visit.session, &state),
        frame,
        shell,
    })
}

#[derive(Clone)]
struct LivePart {
    host: Arc<Host>,
    id: ConnectionId,
}

impl Part for LivePart {
    type Shown = Live;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<Live, store::Error> {
        let connection = tx.connection(session.project.id, self.id)?;
        let state = connection_state::load(tx, connection, self.host.clock.now())?;
        let state = state.shown(&self.host);
        Ok(Live {
            facts: Facts::of(&state, calendar),
            stop: Stop::of(&self.host, session, &state),
        })
    }

    fn looks_every(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// `GET …/live`.
pub async fn live(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Response, Error> {
    let host = visit.host.clone();
    headed::stream(visit, id, false, LivePart { host, id }).await
}
