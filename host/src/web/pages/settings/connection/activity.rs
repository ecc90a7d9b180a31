//! What happened to a connection, and above it the box that explains why a record
//! did not reach a user.

use askama::Template;
use axum::response::Html;

use super::{
    super::super::{
        Error, Frame, Visit,
        extract::{Path, Query},
        format::{self, Calendar, Moment},
        html,
        paging::Pages,
        record_links::RecordLinks,
    },
    Shell, Tab,
    explanation::{self, Told},
};
use crate::{
    model::{
        ConnectionId, KeyKind, ObjectType, ProjectId, RecordId, UserId, UserIdentifier, normalise,
    },
    plugin::{Description, Fault},
    store::{
        self, Tx,
        activity::{Activity, ActivityFilter, UNREADABLE},
    },
    web::{
        api::{activity, connections},
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

/// Words of those that come of reading or looking for records, which some sources
/// cannot be asked for.
const READING: [&str; 10] = [
    "journal",
    "catch_up",
    "full_sync",
    "arrival",
    "read_requested",
    "read_put_off",
    "read_refused",
    "lookup_given_up",
    "no_record",
    "redacted",
];

/// What lines did, as the filter offers it.
const OUTCOMES: [&str; 17] = [
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
    "alert_ended",
];

/// Why nothing was done, as the filter offers it.
const REASONS: [&str; 13] = [
    "no_match",
    NOT_REACHED,
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

/// The reason of a record that waits for one through which it reaches users: nothing
/// is wrong with it.
const NOT_REACHED: &str = "not_reached";

/// Users of one line who are named.
const NAMED_MAX: usize = 3;

/// What is asked for. Fields of a form that are left empty are sent as nothing.
#[derive(Clone, Default, serde::Deserialize)]
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
    /// Which lines are asked for.
    fn filter(&self, tx: &Tx<'_>, project: ProjectId) -> Result<ActivityFilter, store::Error> {
        let given = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let users = given(&self.user).map(|text| meant(tx, project, &text));
        Ok(ActivityFilter {
            origin: given(&self.origin),
            object_type: given(&self.object_type).map(|text| ObjectType::from(text.as_str())),
            outcome: given(&self.outcome),
            reason: given(&self.reason),
            record: given(&self.record_id).map(|text| RecordId::from(text.as_str())),
            users: users.transpose()?,
        })
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

/// Whom a text means: by Jimo's id, by an e-mail address, or by the customer's id.
fn meant(tx: &Tx<'_>, project: ProjectId, text: &str) -> Result<Vec<UserId>, store::Error> {
    if let Ok(user) = text.parse() {
        return Ok(vec![user]);
    }
    let mut users = Vec::new();
    let identifiers = [
        (UserIdentifier::Email, KeyKind::Email),
        (UserIdentifier::ExternalId, KeyKind::Id),
    ];
    for (identifier, kind) in identifiers {
        if let Some(key) = normalise(kind, text) {
            users.extend(tx.users_by_key(project, identifier, kind, &key)?);
        }
    }
    Ok(users)
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
    /// Some of those whom it reached.
    users: Vec<(UserId, String)>,
    /// How many others it reached.
    more: Option<String>,
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
    // What was done shows whether or not a plugin runs now.
    let plugin = match connections::plugin(&visit.host, project, id).await {
        Err(crate::web::error::Error::Plugin(Fault::NotRunning(_))) => None,
        plugin => Some(plugin?),
    };
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
    let asked = query.clone();
    let filter = visit.host.store.read(move |tx| asked.filter(tx, project));
    let filter = filter.await?;
    let page = activity::page(&visit.host, project, id, filter, query.cursor, PAGE_LINES);
    let activity::Page { lines, next } = page.await?;
    let calendar = visit.calendar();
    let lines = visit.host.store.read(move |tx| {
        let lines = lines.into_iter();
        lines
            .map(|(_, line)| shown(tx, project, id, line, &links, &calendar))
            .collect::<Result<Vec<_>, _>>()
    });
    let kept = query.kept();
    let described = plugin.as_ref().map(|plugin| plugin.description());
    let choices = choices(described, shell.is_read, &query);
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
        choices,
        is_filtered: !kept.is_empty(),
        pages: Pages::new(&kept, "cursor", (at, &query.back), next),
        question: query.q,
        record: query.record_id,
        user: query.user,
    })
}

fn choices(described: Option<&Description>, is_read: bool, query: &ActivityQuery) -> Vec<Choice> {
    let words = |all: &[&str], label: fn(&str) -> String| {
        let met = all.iter().filter(|word| is_read || !READING.contains(word));
        let options = met.map(|word| ((*word).to_owned(), label(word)));
        options.collect::<Vec<_>>()
    };
    let types = described.iter().flat_map(|one| &one.object_types);
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
    let mut users = Vec::new();
    for id in line.users.iter().copied().take(NAMED_MAX) {
        let name = match tx.user(project, id) {
            Ok(user) => user.name.or(user.email).or(user.external_id),
            Err(store::Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        users.push((id, name.unwrap_or_else(|| id.to_string())));
    }
    let named = u64::try_from(users.len()).unwrap_or(u64::MAX);
    let more = line.users_count.saturating_sub(named);
    let is_waiting = line.reason.as_deref() == Some(NOT_REACHED);
    let reasons = line.reason.as_deref().unwrap_or_default().split(", ");
    Ok(Line {
        at: calendar.moment(line.at),
        tone: match &*line.outcome {
            _ if is_waiting => "",
            "updated" | "alert_ended" | "resumed" | "released" => "good",
            "skipped" | "held" | "paused" | "read_put_off" | "lookup_given_up" => "warn",
            "alert_began" => "bad",
            _ => "",
        },
        outcome: match is_waiting {
            true => "Waits".to_owned(),
            false => words::outcome(&line.outcome).to_owned(),
        },
        variables: line.variables.join(", "),
        reasons: reasons
            .filter(|reason| !reason.is_empty())
            .map(|reason| words::reason(reason).0)
            .collect(),
        changes: line.changes.iter().map(ToString::to_string).collect(),
        record,
        question,
        users,
        more: (more > 0).then(|| format::count(more)),
        by: match &line.by {
            Some(actor) => actor.to_string(),
            None => words::origin(&line.origin).to_owned(),
        },
    })
}
