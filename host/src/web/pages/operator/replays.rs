//! What was set aside, worked on again: one, or all of a filter; and how far that is.

use std::time::Duration;

use askama::Template;
use axum::response::{Html, Response};

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::Path,
        format::{self, Calendar},
        html,
        live::{self, Part},
        see_other,
        sign_in::Nothing,
    },
    LOOK_EVERY, SET_ASIDE, name,
    set_aside::{AsideQuery, path},
    still_operates,
};
use crate::{
    store::{self, Tx, set_aside::Filter},
    sync::replays,
    web::session::{Session, Signed},
};

/// `POST /operator/set-aside/{number}/replay`.
pub async fn one(
    visit: Visit,
    Path(number): Path<i64>,
    signed: Signed<Nothing>,
) -> Result<Response, Error> {
    let read = visit.host.store.read(move |tx| tx.one_set_aside(number));
    let (listed, _) = read.await?;
    if listed.waits {
        return Ok(see_other(&path(number)));
    }
    let filter = Filter {
        id: Some(number),
        ..Filter::default()
    };
    begin(&visit, &filter, &signed.session).await
}

/// What is to be worked on again: what a list shows, or all of one reason.
#[derive(serde::Deserialize)]
pub struct ReplayForm {
    /// The reason, to the letter.
    exact_reason: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    plugin: String,
}

/// `POST /operator/set-aside/replay`: all that a filter finds.
pub async fn all(visit: Visit, signed: Signed<ReplayForm>) -> Result<Response, Error> {
    let ReplayForm {
        exact_reason,
        reason,
        plugin,
    } = signed.form;
    let listed = AsideQuery {
        reason,
        plugin,
        cursor: None,
    };
    let filter = Filter {
        exact_reason,
        ..listed.filter()
    };
    begin(&visit, &filter, &signed.session).await
}

async fn begin(visit: &Visit, filter: &Filter, session: &Session) -> Result<Response, Error> {
    let host = &visit.host;
    let replay = replays::request(&host.store, filter, &name(session), host.clock.now()).await?;
    host.pipeline.notify_changed();
    Ok(see_other(&format!("{SET_ASIDE}/replays/{replay}")))
}

/// How far a replay is.
#[derive(Template)]
#[template(path = "operator/replay_fragment.html")]
struct ReplayShown {
    base: String,
    asked: u64,
    asked_text: String,
    over: u64,
    done_text: String,
    stayed: u64,
    stayed_text: String,
    waiting: u64,
    waiting_text: String,
}

#[derive(Clone)]
struct ReplayPart {
    base: String,
    replay: i64,
}

impl Part for ReplayPart {
    type Shown = ReplayShown;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        _: &Calendar,
    ) -> Result<ReplayShown, store::Error> {
        still_operates(session)?;
        let state = tx.replay_state(self.replay)?;
        Ok(ReplayShown {
            base: self.base.clone(),
            asked: state.asked,
            asked_text: format::count(state.asked),
            over: state.asked.saturating_sub(state.waiting),
            done_text: format::count(state.done()),
            stayed: state.stayed,
            stayed_text: format::count(state.stayed),
            waiting: state.waiting,
            waiting_text: format::count(state.waiting),
        })
    }

    fn looks_every(&self) -> Duration {
        LOOK_EVERY
    }
}

#[derive(Template)]
#[template(path = "operator/replay.html")]
struct ReplayPage {
    frame: Frame,
    replay: i64,
    shown: ReplayShown,
}

/// `GET /operator/set-aside/replays/{replay}`.
pub async fn page(visit: Visit, Path(replay): Path<i64>) -> Result<Html<String>, Error> {
    let frame = visit.frame("Worked on again", Section::SetAside);
    let part = ReplayPart {
        base: frame.bare.base.clone(),
        replay,
    };
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let shown = visit
        .host
        .store
        .read(move |tx| part.load(tx, &session, &calendar));
    html(&ReplayPage {
        shown: shown.await?,
        frame,
        replay,
    })
}

/// `GET /operator/set-aside/replays/{replay}/live`.
pub async fn live(visit: Visit, Path(replay): Path<i64>) -> Result<Response, Error> {
    let base = super::super::base(&visit.host);
    live::stream(visit, ReplayPart { base, replay }).await
}
