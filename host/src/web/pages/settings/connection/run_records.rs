//! What a run counted, by name: some of the records and users that each count is of.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Html;

use super::{
    super::super::{
        Error, Frame, Visit,
        extract::{Path, Query},
        format, html,
        record_links::RecordLinks,
        users::Person,
        words,
    },
    Shell, Tab,
};
use crate::{
    model::{ConnectionId, Problem, RunId},
    store::{self, Tx, runs::Example},
    web::api::syncs,
};

/// Something that a run counted.
enum Listed {
    Record {
        object: String,
        id: String,
        link: Option<String>,
        /// What asks why, of the activity's page.
        question: String,
    },
    User(Person),
}

#[derive(Template)]
#[template(path = "integrations/run_records.html")]
struct RecordsPage {
    frame: Frame,
    shell: Shell,
    id: RunId,
    label: String,
    hint: &'static str,
    listed: Vec<Listed>,
    /// How many there were, where not all are kept.
    of_in_all: Option<String>,
    is_elsewhere: bool,
}

/// What is asked for.
#[derive(serde::Deserialize)]
pub struct RecordsQuery {
    of: String,
}

/// `GET …/syncs/{run}/records?of=skipped.no_match`: some of what a run counted.
pub async fn page(
    visit: Visit,
    Path((connection, id)): Path<(ConnectionId, RunId)>,
    Query(query): Query<RecordsQuery>,
) -> Result<Html<String>, Error> {
    let (frame, shell, _) = Shell::load(&visit, connection, Tab::Syncs).await?;
    let project = visit.session.project.id;
    let reason = query.of.strip_prefix("skipped.").unwrap_or(&query.of);
    let words = words::reason(reason);
    // What could not be read is counted at once, or record by record.
    let names = match &*query.of {
        "failed" => vec!["failed".to_owned(), "read_put_off".to_owned()],
        of => vec![of.to_owned()],
    };
    let links = RecordLinks::new(&visit.host, &visit.surroundings);
    let is_elsewhere = links.are_elsewhere();
    let (listed, counted, problem, through) = visit
        .host
        .store
        .read(move |tx| {
            let problem = syncs::of(tx, project, connection, id)?.problem;
            let counts = tx.run_counts(id)?;
            if names
                .iter()
                .all(|name| name.starts_with("failed.") && !counts.contains_key(name))
            {
                // Nothing is called what an address says.
                return Err(store::Error::NotFound("page"));
            }
            let counted: i64 = names.iter().filter_map(|name| counts.get(name)).sum();
            let mut listed = Vec::new();
            for name in names {
                for example in tx.run_examples(id, &name)? {
                    listed.push(match example {
                        Example::Record(object_type, record) => {
                            let (object, link) = links.of(tx, connection, &object_type, &record)?;
                            let id = record.as_str().to_owned();
                            let question = format!("{object_type} {id}");
                            Listed::Record {
                                object,
                                id,
                                link,
                                question,
                            }
                        }
                        Example::User(user) => match tx.user(project, user) {
                            Ok(user) => Listed::User(user.into()),
                            Err(store::Error::NotFound(_)) => continue,
                            Err(error) => return Err(error),
                        },
                    });
                }
            }
            Ok((listed, counted, problem, through(tx, connection)?))
        })
        .await?;
    let (label, hint) = match (&*query.of, query.of.strip_prefix("failed.")) {
        (_, Some(to_type)) => (
            not_looked_up_label(to_type, &through),
            not_looked_up_hint(problem.as_ref()),
        ),
        ("failed", None) => {
            let (label, hint) = not_read(problem.as_ref());
            (label.to_owned(), hint)
        }
        _ => (words.0.to_owned(), words.1),
    };
    html(&RecordsPage {
        frame,
        shell,
        id,
        label,
        hint,
        of_in_all: (usize::try_from(counted).unwrap_or(0) > listed.len() && !listed.is_empty())
            .then(|| format::count(counted)),
        listed,
        is_elsewhere,
    })
}

/// By which other object types the records of some find users.
pub(super) type Through = BTreeMap<String, String>;

pub(super) fn through(tx: &Tx<'_>, connection: ConnectionId) -> Result<Through, store::Error> {
    let mappings = tx.mappings(connection)?.into_iter();
    let through = mappings.filter_map(|mapping| {
        let through = mapping.through?;
        Some((mapping.object_type.to_string(), through.to_string()))
    });
    Ok(through.collect())
}

/// What records are called whose associations to a type could not be read.
pub(super) fn not_looked_up_label(to_type: &str, through: &Through) -> String {
    let from = through.get(to_type).map_or("records", String::as_str);
    let mut letters = to_type.chars();
    let first = letters.next().map(char::to_uppercase);
    let to: String = first.into_iter().flatten().chain(letters).collect();
    format!("{to} of these {from} could not be looked up")
}

pub(super) fn not_looked_up_hint(problem: Option<&Problem>) -> &'static str {
    match problem {
        Some(problem) if problem.code == "missing_scopes" => {
            "Their own values came. Our access lacks a permission in HubSpot for what belongs to them. Once it is granted, a full sync looks it up."
        }
        _ => {
            "Their own values came. HubSpot did not say well enough what belongs to them; it is asked again later by itself."
        }
    }
}

/// What is said of records that could not be read, in a run with this problem.
pub(super) fn not_read(problem: Option<&Problem>) -> (&'static str, &'static str) {
    match problem {
        Some(problem) if problem.code == "missing_scopes" => (
            "Could not be read",
            "Our access lacks a permission in HubSpot for these, or HubSpot did not answer well enough. Once it is granted, a full sync reads them.",
        ),
        _ => words::reason("failed"),
    }
}
