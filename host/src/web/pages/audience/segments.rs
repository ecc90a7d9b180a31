//! Audience → Segments: the list, the builder, and the end of a segment.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::{Path, Query},
        format::{self, Calendar, Moment},
        html, live as live_parts, see_other,
    },
    Act, Built, Group, GroupView, Offers, SEGMENTS, Views,
    builder::Outcome,
    draft,
};
use crate::{
    host::Host,
    model::SegmentId,
    sqlite,
    store::{self, Tx, segments::Named},
    web::{
        api::segments::{self, DESCRIPTION_LENGTH_MAX, NAME_LENGTH_MAX, SegmentDocument},
        error::Error as ApiError,
        problem::InputError,
        session::{Posted, Session},
    },
};

type Pairs = Vec<(String, String)>;

/// A segment in the list.
pub struct Row {
    id: SegmentId,
    name: String,
    description: Option<String>,
    /// None where counting all took too long.
    count: Option<String>,
    used_by: Vec<Named>,
    updated: Moment,
}

/// The list, as it is shown and streamed.
#[derive(Template)]
#[template(path = "audience/segments_fragment.html")]
pub struct Rows {
    base: String,
    rows: Vec<Row>,
}

impl Rows {
    fn load(
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
        base: &str,
        counts: Option<&HashMap<SegmentId, i64>>,
    ) -> Result<Self, store::Error> {
        let project = session.project.id;
        let mut rows = Vec::new();
        for segment in tx.segments(project)? {
            let count = counts.map(|counts| counts.get(&segment.id).copied().unwrap_or_default());
            rows.push(Row {
                id: segment.id,
                name: segment.wanted.name,
                description: segment.wanted.description,
                count: count.map(format::count),
                used_by: tx.segments_using(segment.id)?,
                updated: calendar.moment(segment.updated_at),
            });
        }
        Ok(Self {
            base: base.to_owned(),
            rows,
        })
    }
}

#[derive(Template)]
#[template(path = "audience/segments.html")]
struct ListPage {
    frame: Frame,
    shown: Rows,
}

/// `GET /segments`.
pub async fn list(visit: Visit) -> Result<Html<String>, Error> {
    let frame = visit.frame("Segments", Section::Segments);
    let (project, now) = (visit.session.project.id, visit.host.clock.now());
    let store = &visit.host.store;
    let counts = match store.ask(move |tx| tx.segment_counts(project, now)).await {
        Ok(counts) => Some(counts),
        // Without its counts a list still leads to the one that takes long.
        Err(store::Error::Database(sqlite::Error::TookTooLong)) => None,
        Err(error) => return Err(error.into()),
    };
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let base = frame.bare.base.clone();
    let read = store.read(move |tx| Rows::load(tx, &session, &calendar, &base, counts.as_ref()));
    let shown = read.await?;
    html(&ListPage { frame, shown })
}

#[derive(Clone)]
struct ListPart {
    host: Arc<Host>,
    base: String,
}

impl live_parts::Part for ListPart {
    type Shown = Rows;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<Rows, store::Error> {
        let counts = tx.segment_counts(session.project.id, self.host.clock.now())?;
        Rows::load(tx, session, calendar, &self.base, Some(&counts))
    }

    fn is_question(&self) -> bool {
        true
    }

    /// All segments are counted each time.
    fn gathers(&self) -> std::time::Duration {
        std::time::Duration::from_secs(2)
    }
}

/// `GET /segments/live`.
pub async fn live(visit: Visit) -> Result<Response, Error> {
    let part = ListPart {
        host: visit.host.clone(),
        base: super::super::base(&visit.host),
    };
    live_parts::stream(visit, part).await
}

/// What is filled in beside the conditions.
#[derive(Clone, Default)]
struct Names {
    name: String,
    description: String,
    name_error: Option<String>,
    description_error: Option<String>,
}

impl Names {
    fn read(pairs: &Pairs) -> Self {
        let field = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Self {
            name: field("name"),
            description: field("description"),
            ..Self::default()
        }
    }
}

#[derive(Template)]
#[template(path = "audience/segment.html")]
struct SegmentPage {
    frame: Frame,
    id: Option<SegmentId>,
    tree: GroupView,
    outcome: Outcome,
    names: Names,
    used_by: Vec<Named>,
    is_saved: bool,
    problem: Option<String>,
    name_length_max: usize,
    description_length_max: usize,
}

impl SegmentPage {
    /// Where its form is posted to.
    fn action(&self) -> String {
        match self.id {
            Some(id) => format!("{SEGMENTS}/{id}"),
            None => format!("{SEGMENTS}/new"),
        }
    }
}

/// What a builder's page is made of.
struct Building {
    id: Option<SegmentId>,
    draft: Group,
    names: Names,
    next: Option<draft::Path>,
    is_saved: bool,
    problem: Option<String>,
    /// Whether what is missing is wrong.
    must_be_whole: bool,
}

impl Building {
    fn new(id: Option<SegmentId>, draft: Group, names: Names) -> Self {
        Self {
            id,
            draft,
            names,
            next: None,
            is_saved: false,
            problem: None,
            must_be_whole: false,
        }
    }

    async fn page(self, visit: &Visit) -> Result<Html<String>, Error> {
        let (project, now) = (visit.session.project.id, visit.host.clock.now());
        let Self {
            id,
            draft,
            names,
            next,
            is_saved,
            problem,
            must_be_whole,
        } = self;
        let read = visit.host.store.read(move |tx| {
            let (title, used_by) = match id {
                Some(id) => (tx.segment(project, id)?.wanted.name, tx.segments_using(id)?),
                None => ("New segment".to_owned(), Vec::new()),
            };
            let offers = Offers::load(tx, project, id)?;
            let mut built = Built::new(&offers, id, draft);
            let asked = (built.condition.clone(), built.missing.len());
            if must_be_whole {
                built.must_be_whole();
            }
            let views = Views {
                tx,
                project,
                offers: &offers,
                built: &built,
                next: next.as_ref(),
            };
            Ok((title, used_by, views.tree()?, asked))
        });
        let (title, used_by, tree, (condition, missing)) = read.await?;
        let outcome = Outcome::ask(&visit.host.store, project, condition, missing, now).await?;
        html(&SegmentPage {
            frame: visit.frame(title, Section::Segments),
            id,
            tree,
            outcome,
            names,
            used_by,
            is_saved,
            problem,
            name_length_max: NAME_LENGTH_MAX,
            description_length_max: DESCRIPTION_LENGTH_MAX,
        })
    }
}

/// `GET /segments/new`: empty, or with what an address says.
pub async fn begin(visit: Visit, Query(pairs): Query<Pairs>) -> Result<Html<String>, Error> {
    let mut draft = Group::read(&pairs)?;
    if draft.parts.is_empty() {
        draft.act(&Act::AddRule(Vec::new()));
    }
    Building::new(None, draft, Names::default())
        .page(&visit)
        .await
}

/// What the address of a segment says beside its id.
#[derive(serde::Deserialize)]
pub struct SavedQuery {
    #[serde(default)]
    saved: bool,
}

/// `GET /segments/{segment}`.
pub async fn page(
    visit: Visit,
    Path(id): Path<SegmentId>,
    Query(query): Query<SavedQuery>,
) -> Result<Html<String>, Error> {
    let project = visit.session.project.id;
    let read = visit.host.store.read(move |tx| {
        let segment = tx.segment(project, id)?;
        let document = segments::known(tx, project)?.write(&segment.wanted.condition);
        Ok((segment.wanted, Group::of(&document)))
    });
    let (held, draft) = read.await?;
    let names = Names {
        name: held.name,
        description: held.description.unwrap_or_default(),
        ..Names::default()
    };
    let mut building = Building::new(Some(id), draft, names);
    building.is_saved = query.saved;
    building.page(&visit).await
}

/// `POST /segments/new`.
pub async fn build(visit: Visit, posted: Posted<Pairs>) -> Result<Response, Error> {
    built(&visit, None, &posted.form).await
}

/// `POST /segments/{segment}`.
pub async fn change(
    visit: Visit,
    Path(id): Path<SegmentId>,
    posted: Posted<Pairs>,
) -> Result<Response, Error> {
    built(&visit, Some(id), &posted.form).await
}

async fn built(visit: &Visit, id: Option<SegmentId>, pairs: &Pairs) -> Result<Response, Error> {
    let mut building = Building::new(id, Group::read(pairs)?, Names::read(pairs));
    match Act::of(pairs) {
        Some(Act::Save) => save(visit, building).await,
        Some(act) => {
            building.next = building.draft.act(&act);
            Ok(building.page(visit).await?.into_response())
        }
        None => Ok(building.page(visit).await?.into_response()),
    }
}

async fn save(visit: &Visit, mut building: Building) -> Result<Response, Error> {
    let (project, id) = (visit.session.project.id, building.id);
    let draft = building.draft.clone();
    let read = visit.host.store.read(move |tx| {
        let offers = Offers::load(tx, project, id)?;
        Ok(Built::new(&offers, id, draft))
    });
    let mut built = read.await?;
    built.must_be_whole();
    let document = SegmentDocument {
        name: building.names.name.clone(),
        description: Some(building.names.description.clone()),
        // What is not there is refused, as what is wrong is.
        conditions: built.document.unwrap_or_default(),
    };
    let refused = match built.errors.is_empty() {
        true => segments::save(&visit.host, project, id, document).await,
        false => {
            let errors = segments::name_errors(&document);
            Err(ApiError::Invalid(errors))
        }
    };
    let error = match refused {
        Ok(id) => return Ok(see_other(&format!("{SEGMENTS}/{id}?saved=true"))),
        Err(error @ (ApiError::Invalid(_) | ApiError::Conflict(_))) => error,
        Err(error) => return Err(error.into()),
    };
    building.must_be_whole = true;
    let status = error.status();
    match error {
        ApiError::Invalid(errors) => {
            for InputError { pointer, detail } in errors {
                match pointer.as_str() {
                    "/name" => building.names.name_error = Some(detail),
                    "/description" => building.names.description_error = Some(detail),
                    // Beside its rule.
                    _ => {}
                }
            }
            building.problem = Some("Nothing was saved. See what is marked below.".to_owned());
        }
        other => building.names.name_error = Some(other.detail()),
    }
    let page = building.page(visit).await?;
    Ok((status, page).into_response())
}

#[derive(Template)]
#[template(path = "audience/delete.html")]
struct DeletePage {
    frame: Frame,
    id: SegmentId,
    name: String,
    used_by: Vec<Named>,
}

/// `GET /segments/{segment}/delete`.
pub async fn ask_to_delete(visit: Visit, Path(id): Path<SegmentId>) -> Result<Html<String>, Error> {
    deleting(&visit, id).await
}

async fn deleting(visit: &Visit, id: SegmentId) -> Result<Html<String>, Error> {
    let project = visit.session.project.id;
    let read = visit.host.store.read(move |tx| {
        let segment = tx.segment(project, id)?;
        Ok((segment.wanted.name, tx.segments_using(id)?))
    });
    let (name, used_by) = read.await?;
    html(&DeletePage {
        frame: visit.frame(format!("Delete {name}"), Section::Segments),
        id,
        name,
        used_by,
    })
}

/// The form has nothing but its code.
#[derive(serde::Deserialize)]
pub struct Nothing {}

/// `POST /segments/{segment}/delete`.
pub async fn delete(
    State(host): State<Arc<Host>>,
    visit: Visit,
    Path(id): Path<SegmentId>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    match segments::remove(&host, posted.session.project.id, id).await {
        Ok(()) => Ok(see_other(SEGMENTS)),
        // The page says which segments use it.
        Err(ApiError::Conflict(_)) => {
            let page = deleting(&visit, id).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
