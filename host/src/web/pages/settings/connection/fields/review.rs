//! What a draft changes, what it would write on some real users, and its saving.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{
        super::{
            super::{
                Error, Frame, Visit,
                extract::Path,
                format::{Shown, type_name},
                html, see_other,
            },
            path,
        },
        Shell, Tab,
        previewed::PreviewView,
    },
    draft::{Changes, Working},
    many,
    shown::{self, Known},
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, Shown as Show},
    plugin::Description,
    store::{segments::Named, variables::Variable},
    web::{
        self,
        api::{
            connections::{self, Values},
            mapping_document::FieldDocument,
            mappings, previews,
        },
        session::Posted,
    },
};

/// A field that is added, removed or changed.
struct Line {
    /// `Contact`.
    object: String,
    /// What people call the property; its name, where that is not known now.
    property: String,
    variable: String,
    /// Of a field that is added, the type of a variable that is made.
    makes: Option<&'static str>,
    /// Whether values of Jimo's own side are replaced.
    takes_over: bool,
    /// Whether it is to show labels.
    shows_labels: bool,
}

#[derive(Template)]
#[template(path = "fields/review.html")]
struct ReviewPage {
    frame: Frame,
    shell: Shell,
    added: Vec<Line>,
    removed: Vec<Line>,
    /// The segments that name variables of fields that are removed.
    segments: Vec<Named>,
    changed: Vec<Line>,
    /// The labels of the object types of which another record is selected.
    selections: Vec<String>,
    is_outdated: bool,
    /// How many fields there are, where these are more than is healthy.
    many: Option<usize>,
    version: i64,
    /// What is reviewed, by its digest.
    draft: String,
    /// Why it was not saved.
    errors: Vec<String>,
}

/// `GET …/fields/review`.
pub async fn page(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Response, Error> {
    show(visit, id, Vec::new()).await
}

async fn show(visit: Visit, id: ConnectionId, errors: Vec<String>) -> Result<Response, Error> {
    let (frame, shell, _) = Shell::load(&visit, id, Tab::Fields).await?;
    let (project, author) = (visit.session.project.id, visit.session.author());
    let (working, variables, segments) = visit
        .host
        .store
        .read(move |tx| {
            let working = Working::load(tx, project, id, author)?;
            Ok((working, tx.variables(project)?, tx.segments_fed_by(id)?))
        })
        .await?;
    if !working.is_changed() {
        return Ok(see_other(&path(id, "/fields")));
    }
    let plugin = connections::plugin(&visit.host, project, id).await?;
    let described = plugin.description();
    let variables: HashMap<String, Variable> = variables
        .into_iter()
        .map(|variable| (variable.name.clone(), variable))
        .collect();
    let Changes {
        added,
        removed,
        changed,
        selections,
    } = working.changes();
    let fields = added.iter().chain(&removed).chain(&changed);
    let types: HashSet<ObjectType> = fields.map(|(object_type, _)| object_type.clone()).collect();
    let mut known = HashMap::new();
    for object_type in types {
        let of_type = shown::known(&visit.host, (project, id), &object_type, false).await;
        known.extend(of_type.ok().map(|of_type| (object_type, of_type)));
    }
    let lines = |fields: Vec<(ObjectType, FieldDocument)>| -> Vec<Line> {
        let lines = fields.into_iter();
        lines
            .map(|(object_type, field)| {
                let known = known.get(&object_type);
                line(described, &variables, known, &object_type, field)
            })
            .collect()
    };
    let mut segments: Vec<Named> = segments
        .into_iter()
        .filter(|(variable, _)| removed.iter().any(|(_, field)| field.variable == *variable))
        .map(|(_, segment)| segment)
        .collect();
    segments.dedup_by_key(|segment| segment.id);
    let page = ReviewPage {
        frame,
        shell,
        added: lines(added),
        removed: lines(removed),
        segments,
        changed: lines(changed),
        selections: selections
            .iter()
            .filter_map(|one| Some(described.object_type(one)?.label.clone()))
            .collect(),
        is_outdated: working.is_outdated(),
        many: many(&working.document),
        version: working.version,
        draft: working.digest()?,
        errors,
    };
    Ok(html(&page)?.into_response())
}

fn line(
    described: &Description,
    variables: &HashMap<String, Variable>,
    known: Option<&Known>,
    object_type: &ObjectType,
    field: FieldDocument,
) -> Line {
    let exists = variables.contains_key(&field.variable);
    let said = described.object_type(object_type);
    Line {
        object: said.map_or_else(
            || object_type.to_string(),
            |said| said.singular_label.clone(),
        ),
        property: known
            .and_then(|known| known.property(&field.property))
            .map_or_else(|| field.property.to_string(), |one| one.label.clone()),
        makes: (!exists).then(|| field.variable_type.map_or("", type_name)),
        takes_over: field.take_over,
        shows_labels: field.show == Show::Label,
        variable: field.variable,
    }
}

#[derive(Template)]
#[template(path = "fields/preview.html")]
struct PreviewPage {
    frame: Frame,
    shell: Shell,
    told: Result<PreviewView, Vec<String>>,
}

/// `GET …/fields/preview`: asks HubSpot for some users' records, so it may take a
/// moment.
pub async fn preview(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Html<String>, Error> {
    let (frame, shell, _) = Shell::load(&visit, id, Tab::Fields).await?;
    let (project, author) = (visit.session.project.id, visit.session.author());
    let working = visit
        .host
        .store
        .read(move |tx| Working::load(tx, project, id, author))
        .await?;
    let (document, saved) = (working.document, working.saved);
    let told = if visit.session.may_change() {
        previews::of(&visit.host, project, id, document.clone(), previews::USERS).await
    } else {
        let detail = "Only admins of the project can ask HubSpot for a preview.";
        Err(web::error::Error::Forbidden(detail))
    };
    let told = match told {
        Ok(preview) => Ok(PreviewView::load(&visit, id, &document, preview, Some(&saved)).await?),
        Err(error) => Err(error.sentences()),
    };
    html(&PreviewPage { frame, shell, told })
}

/// How a draft is saved.
#[derive(serde::Deserialize)]
pub struct SaveForm {
    /// What becomes of the values of fields that are removed.
    #[serde(default)]
    values: Values,
    /// The version that the page was shown with.
    version: i64,
    /// The digest of what it showed.
    draft: String,
}

/// What was reviewed is not what would be saved.
const CHANGED: &str = "Your changes became others meanwhile, on another page of yours. They are \
                       below as they are now: look at them, and save them then.";

/// `POST …/fields/review`.
pub async fn save(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    visit: Visit,
    posted: Posted<SaveForm>,
) -> Result<Response, Error> {
    let (project, author) = (posted.session.project.id, posted.session.author());
    let (working, draft) = host
        .store
        .read(move |tx| {
            let working = Working::load(tx, project, id, author)?;
            Ok((working, tx.draft(id, author)?))
        })
        .await?;
    if !working.is_changed() {
        return Ok(see_other(&path(id, "/fields")));
    }
    // Of what somebody else saved meanwhile saving says so.
    let is_newest = posted.form.version == working.newest;
    if is_newest && posted.form.draft != working.digest()? {
        let page = show(visit, id, vec![CHANGED.to_owned()]).await?;
        return Ok(refused(page, StatusCode::CONFLICT));
    }
    let added = working.changes().added.len();
    let keep = posted.form.values == Values::Keep;
    let expected = mappings::etag(posted.form.version).into_bytes();
    let by = posted.session.actor();
    let document = working.document;
    let saved = mappings::save(&host, project, id, document, keep, Some(expected), &by);
    match saved.await {
        Ok(()) => {
            // What another page changed meanwhile is kept.
            host.store
                .transact(move |tx| tx.drop_this_draft(id, author, draft.as_ref()))
                .await?;
            Ok(see_other(&path(id, &format!("/fields?saved={added}"))))
        }
        // The page says so, and what can be done.
        Err(web::error::Error::Outdated) => Ok(see_other(&path(id, "/fields/review"))),
        Err(web::error::Error::NotFound(what)) => Err(Error::NotFound(what)),
        Err(error) => {
            let page = show(visit, id, error.sentences()).await?;
            Ok(refused(page, error.status()))
        }
    }
}

/// A page that says why something was refused; it may lead elsewhere by now.
fn refused(mut page: Response, status: StatusCode) -> Response {
    if !page.status().is_redirection() {
        *page.status_mut() = status;
    }
    page
}
