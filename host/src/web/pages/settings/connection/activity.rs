//! What happened to a connection, and above it the box that explains why a record
//! did not reach a user.

use askama::Template;
use axum::response::Html;

use super::{
    super::super::{
        Error, Frame, Visit,
        extract::{Path, Query},
        format::{Calendar, Moment},
        html,
        paging::Pages,
        profile::RecordLinks,
    },
    Shell, Tab,
    explanation::{self, Told},
};
use crate::{
    model::{ConnectionId, ObjectType, ProjectId, RecordId, UserId},
    store::{
        self, Tx,
        activity::{Activity, ActivityFilter, UNREADABLE},
    },
    web::{
        api::activity,
        explain::{self, words},
    },
};

/// Lines on one page.
const PAGE_LINES: usize = 50;

/// Where lines come from, as the filter offers them.
const ORIGINS: [&str; 9] = [
    "webhook",
    "journal",
    "catch_up",
    "full_sync",
    "arrival",
    "mapping",
    "brake",
    "alert",
    "admin",
];

/// What lines did, as the filter offers it.
const OUTCOMES: [&str; 16] = [
    "updated",
    "unchanged",
    "skipped",
    "read_requested",
    "read_put_off",
    "erased",
    "lookup_given_up",
    "mappings_saved",
    "sync_requested",
    "sync_cancelled",
    "sync_continued",
    "paused",
    "resumed",
    "held",
    "released",
    "alert_began",
];

/// Why nothing was done, as the filter offers it.
const REASONS: [&str; 12] = [
    "no_match",
    "older",
    "deleted",
    "before_mapping",
    "held",
    UNREADABLE,
    "malformed",
    "too_long",
    "out_of_range",
    "unknown_choice",
    "redacted",
    "read_refused",
];

/// What is asked for. Fields of a form that are left empty are sent as nothing.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub struct ActivityQuery {
    q: String,
    origin: String,
    object_type: String,
    outcome: String,
    reason: String,
    record_id: String,
    user: String,
    cursor: Option<i64>,
    back: String,
}

impl ActivityQuery {
    fn filter(&self) -> ActivityFilter {
        let given = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        ActivityFilter {
            origin: given(&self.origin),
            object_type: given(&self.object_type).map(|text| ObjectType::from(text.as_str())),
            outcome: given(&self.outcome),
            reason: given(&self.reason),
            record: given(&self.record_id).map(|text| RecordId::from(text.as_str())),
            // What is no id is nobody's.
            user: given(&self.user).map(|text| text.parse().unwrap_or(UserId(0))),
        }
    }

    /// What has to stand in the address of other lines.
    fn kept(&self) -> String {
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("origin", &self.origin),
            ("object_type", &self.object_type),
            ("outcome", &self.outcome),
            ("reason", &self.reason),
            ("record_id", &self.record_id),
            ("user", &self.user),
        ] {
            if !value.is_empty() {
                kept.append_pair(name, value);
            }
        }
        kept.finish()
    }
}

/// A filter that offers what there is.
struct Choice {
    name: &'static str,
    label: &'static str,
    chosen: String,
    options: Vec<(String, String)>,
}

/// A line, for people.
struct Line {
    at: Moment,
    outcome: String,
    tone: &'static str,
    variables: String,
    reasons: Vec<&'static str>,
    changes: Vec<String>,
    /// What the record is called, its id, and its page.
    record: Option<(String, String, Option<String>)>,
    /// What to ask for to have it explained.
    question: String,
    user: Option<(UserId, String)>,
    by: String,
}

#[derive(Template)]
#[template(path = "health/activity.html")]
struct ActivityPage {
    frame: Frame,
    shell: Shell,
    zone: String,
    is_elsewhere: bool,
    question: String,
    refusal: Option<String>,
    told: Option<Told>,
    choices: Vec<Choice>,
    record: String,
    user: String,
    is_filtered: bool,
    lines: Vec<Line>,
    pages: Pages,
}

/// `GET …/activity`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<ActivityQuery>,
) -> Result<Html<String>, Error> {
    let (frame, shell, _) = Shell::load(&visit, id, Tab::Activity).await?;
    let project = visit.session.project.id;
    let links = RecordLinks::new(&visit.host, &visit.surroundings);
    let is_elsewhere = links.are_elsewhere();
    let (mut refusal, mut told) = (None, None);
    if !query.q.trim().is_empty() {
        match explain::explain(&visit.host, project, id, &query.q).await {
            Ok(explanation) => {
                let (links, calendar) = (links.clone(), visit.calendar());
                let read = visit.host.store.read(move |tx| {
                    explanation::told(tx, project, id, explanation, &links, &calendar)
                });
                told = Some(read.await?);
            }
            Err(error) if error.status().is_client_error() => refusal = Some(error.detail()),
            Err(error) => return Err(error.into()),
        }
    }
    let page = activity::page(
        &visit.host,
        project,
        id,
        query.filter(),
        query.cursor,
        PAGE_LINES,
    );
    let activity::Page { lines, next } = page.await?;
    let calendar = visit.calendar();
    let lines = visit.host.store.read(move |tx| {
        let lines = lines.into_iter();
        lines
            .map(|(_, line)| shown(tx, project, id, line, &links, &calendar))
            .collect::<Result<Vec<_>, _>>()
    });
    let kept = query.kept();
    let at = query.cursor.map(|cursor| cursor.to_string());
    let next = next.map(|next| next.to_string());
    html(&ActivityPage {
        lines: lines.await?,
        frame,
        shell,
        zone: visit.calendar().zone_name(),
        is_elsewhere,
        refusal,
        told,
        choices: choices(&visit, &query),
        is_filtered: !kept.is_empty(),
        pages: Pages::new(&kept, "cursor", (at, &query.back), next),
        question: query.q,
        record: query.record_id,
        user: query.user,
    })
}

fn choices(visit: &Visit, query: &ActivityQuery) -> Vec<Choice> {
    let words = |all: &[&str], label: fn(&str) -> String| {
        let options = all.iter().map(|word| ((*word).to_owned(), label(word)));
        options.collect::<Vec<_>>()
    };
    let plugin = visit.host.plugins.active();
    let types = plugin.description().object_types.iter();
    vec![
        Choice {
            name: "origin",
            label: "From",
            chosen: query.origin.clone(),
            options: words(&ORIGINS, |word| words::origin(word).to_owned()),
        },
        Choice {
            name: "object_type",
            label: "Records",
            chosen: query.object_type.clone(),
            options: types
                .map(|one| (one.name.to_string(), one.label.clone()))
                .collect(),
        },
        Choice {
            name: "outcome",
            label: "Outcome",
            chosen: query.outcome.clone(),
            options: words(&OUTCOMES, |word| words::outcome(word).to_owned()),
        },
        Choice {
            name: "reason",
            label: "Reason",
            chosen: query.reason.clone(),
            options: words(&REASONS, |word| words::reason(word).0.to_owned()),
        },
    ]
}

fn shown(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    line: Activity,
    links: &RecordLinks,
    calendar: &Calendar,
) -> Result<Line, store::Error> {
    let mut question = String::new();
    let record = match (&line.object_type, &line.record) {
        (Some(object_type), Some(record)) => {
            let (object, link) = links.of(tx, connection, object_type, record)?;
            question = format!("{object_type} {record}");
            Some((object, record.to_string(), link))
        }
        _ => None,
    };
    let user = match line.user {
        None => None,
        Some(id) => match tx.user(project, id) {
            Ok(user) => {
                let name = user.name.or(user.email).or(user.external_id);
                Some((id, name.unwrap_or_else(|| id.to_string())))
            }
            Err(store::Error::NotFound(_)) => Some((id, id.to_string())),
            Err(error) => return Err(error),
        },
    };
    let reasons = line.reason.as_deref().unwrap_or_default().split(", ");
    Ok(Line {
        at: calendar.moment(line.at),
        tone: match &*line.outcome {
            "updated" | "alert_ended" | "resumed" | "released" => "good",
            "skipped" | "held" | "paused" | "read_put_off" | "lookup_given_up" => "warn",
            "alert_began" => "bad",
            _ => "",
        },
        outcome: words::outcome(&line.outcome).to_owned(),
        variables: line.variables.join(", "),
        reasons: reasons
            .filter(|reason| !reason.is_empty())
            .map(|reason| words::reason(reason).0)
            .collect(),
        changes: line.changes.iter().map(ToString::to_string).collect(),
        record,
        question,
        user,
        by: match &line.by {
            Some(actor) => actor.to_string(),
            None => words::origin(&line.origin).to_owned(),
        },
    })
}
