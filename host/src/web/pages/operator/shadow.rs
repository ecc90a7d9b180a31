//! What a version would change: how far its shadow is, where the two differ, and
//! examples with whose they are.

use std::time::Duration;

use axum::response::Response;
use serde_json::Value as Json;

use super::{
    super::{
        Error, Visit,
        extract::Path,
        format::{self, Calendar, Moment},
        see_other,
        sign_in::Nothing,
        users::Person,
        words,
    },
    name, plugins, short,
};
use crate::{
    model::UserId,
    store::{
        self, Tx,
        shadows::{Example, Kind, Step},
    },
    sync::versions::shadow::{self, Report},
    web::session::{Session, Signed},
};

/// How much of what a version says an example shows, in characters.
const SAID_LENGTH_MAX: usize = 200;

/// How far back a shadow looks, as the form offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Since {
    All,
    Hour,
    SixHours,
    Day,
}

impl Since {
    fn within(self) -> Option<Duration> {
        let hours = match self {
            Self::All => return None,
            Self::Hour => 1,
            Self::SixHours => 6,
            Self::Day => 24,
        };
        Some(Duration::from_secs(hours * 3_600))
    }
}

/// How and where versions differ, and how often.
pub(super) struct Differs {
    pub kind: &'static str,
    pub place: String,
    pub count: String,
}

/// A user whom an example is of.
pub(super) struct Whose {
    pub id: UserId,
    /// Who they are, where they are of the project that is looked at.
    pub person: Option<Person>,
}

/// What a version says.
pub(super) struct Said {
    pub text: String,
    /// Whether it is no value but a word for it: nothing, empty, a reason.
    pub is_word: bool,
}

/// An example of a difference.
pub(super) struct Shown {
    pub kind: &'static str,
    pub place: String,
    pub variable: Option<String>,
    /// Connection and record, or the entry of the log.
    pub of: String,
    pub users: Vec<Whose>,
    /// How many more users it is of.
    pub more: usize,
    pub active: Said,
    pub candidate: Said,
}

/// A shadow, for people.
pub(super) struct ShadowShown {
    pub word: &'static str,
    pub tone: &'static str,
    /// What is told anew when it is another.
    pub state: &'static str,
    /// Whether it is under way.
    pub is_open: bool,
    pub against: Option<String>,
    pub by: String,
    pub at: Moment,
    pub since: Option<Moment>,
    pub caught_up: Option<Moment>,
    pub problem: Option<String>,
    /// Entries that were compared, and those with them that wait.
    pub done: u64,
    pub total: u64,
    pub done_text: String,
    pub waiting_text: String,
    pub facts: Vec<(&'static str, String)>,
    pub difference_count: u64,
    pub difference_text: String,
    pub differences: Vec<Differs>,
    pub examples: Vec<Shown>,
    pub unseen: Option<&'static str>,
}

impl ShadowShown {
    pub(super) fn load(
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
        report: &Report,
    ) -> Result<Self, store::Error> {
        let (shadow, work) = (&report.shadow, &report.shadow.work);
        let (word, tone, state) = standing(report);
        let differences = report.differences.iter().map(|(difference, count)| {
            let object_type = difference.object_type.as_ref();
            Differs {
                kind: kind(difference.kind),
                place: place(object_type.map(|one| one.as_str()), &difference.name),
                count: format::count(*count),
            }
        });
        let examples = report.examples.iter();
        let examples = examples.map(|example| shown(tx, session, example));
        Ok(Self {
            word,
            tone,
            state,
            is_open: matches!(state, "waits" | "mappings" | "log"),
            against: shadow.against.as_deref().map(|digest| short(digest).into()),
            by: shadow.by.clone(),
            at: calendar.moment(shadow.at),
            since: shadow.since.map(|since| calendar.moment(since)),
            caught_up: shadow.caught_up_at.map(|at| calendar.moment(at)),
            problem: shadow.problem.clone(),
            done: work.entries,
            total: work.entries + shadow.waiting,
            done_text: format::count(work.entries),
            waiting_text: format::count(shadow.waiting),
            facts: vec![
                ("Entries of the log", format::count(work.entries)),
                ("Events in them", format::count(work.events)),
                ("Mappings", format::count(work.mappings)),
                ("Kept texts", format::count(work.texts)),
                ("Failed", of(work.faults, work.passes)),
                ("The active version’s", of(work.active_faults, work.passes)),
            ],
            difference_count: report.difference_count(),
            difference_text: format::count(report.difference_count()),
            differences: differences.collect(),
            examples: examples.collect::<Result<_, _>>()?,
            unseen: report.unseen(),
        })
    }
}

fn of(failed: u64, passes: u64) -> String {
    format!(
        "{} of {} passes",
        format::count(failed),
        format::count(passes)
    )
}

/// Where a shadow stands: in words, their tone, and a word that programs compare.
fn standing(report: &Report) -> (&'static str, &'static str, &'static str) {
    let shadow = &report.shadow;
    match (
        &shadow.problem,
        &shadow.against,
        shadow.step,
        shadow.caught_up_at,
    ) {
        (Some(_), ..) => ("Cannot go on", "bad", "problem"),
        (None, None, ..) => ("Waits for the host", "", "waits"),
        (None, Some(_), Step::Mappings, _) => ("Compares mappings", "", "mappings"),
        (None, Some(_), Step::Log, None) => ("Reads the log", "", "log"),
        (None, Some(_), Step::Log, Some(_)) => ("At the log’s end", "good", "end"),
    }
}

/// How far a shadow is, in one line.
pub(super) fn far(report: &Report) -> String {
    let (word, ..) = standing(report);
    format!(
        "{word}; entries compared: {}, waiting: {}, differences: {}",
        format::count(report.shadow.work.entries),
        format::count(report.shadow.waiting),
        format::count(report.difference_count())
    )
}

/// A kind of difference, as people read it.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Description => "Says something else of itself",
        Kind::Needs => "Needs other properties",
        Kind::Suitable => "Suits other types",
        Kind::Value => "Another value",
        Kind::ValueLost => "Value lost",
        Kind::ValueGained => "Value gained",
        Kind::Reason => "Another reason why not",
        Kind::Text => "Another text",
        Kind::MatchKeys => "Matched by other keys",
        Kind::Moment => "Another moment",
        Kind::ChangeMissing => "A change less",
        Kind::ChangeAdded => "A change more",
        Kind::ErasureMissing => "An erasure less",
        Kind::ErasureAdded => "An erasure more",
        Kind::RefusalMissing => "Refuses no more",
        Kind::RefusalAdded => "Refuses an event",
        Kind::FaultMissing => "Fails no more",
        Kind::FaultAdded => "Fails",
    }
}

/// Where versions differ.
fn place(object_type: Option<&str>, name: &str) -> String {
    let parts = [object_type.unwrap_or_default(), name];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}

fn shown(tx: &Tx<'_>, session: &Session, example: &Example) -> Result<Shown, store::Error> {
    let project = session.project.id;
    let users = example.users.iter().map(|id| {
        let person = match tx.user(project, *id) {
            Ok(user) => Some(user.into()),
            Err(store::Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Whose { id: *id, person })
    });
    let users: Vec<Whose> = users.collect::<Result<_, _>>()?;
    let object_type = example.difference.object_type.as_ref();
    let connection = example.connection.map(|connection| connection.to_string());
    let record = example
        .record
        .as_ref()
        .map(|record| format!("record {record}"));
    let entry = example
        .position
        .map(|position| format!("entry {}", position.0));
    let of: Vec<_> = [connection, record, entry].into_iter().flatten().collect();
    Ok(Shown {
        kind: kind(example.difference.kind),
        place: place(
            object_type.map(|one| one.as_str()),
            &example.difference.name,
        ),
        variable: example.variable.clone(),
        of: of.join(", "),
        more: example.user_count.saturating_sub(users.len()),
        users,
        active: said(example.active.as_ref()),
        candidate: said(example.candidate.as_ref()),
    })
}

/// What a version says, for people. It may be anybody's words.
fn said(said: Option<&Json>) -> Said {
    let word = |text: &str| Said {
        text: text.to_owned(),
        is_word: true,
    };
    let Some(said) = said else {
        return word("nothing");
    };
    let one = said.as_object().filter(|object| object.len() == 1);
    let Some((name, value)) = one.and_then(|object| object.iter().next()) else {
        return plain(said);
    };
    match (name.as_str(), value) {
        ("value", Json::Null) => word("empty"),
        ("unreadable", Json::String(reason)) => word(words::reason(reason).0),
        ("value" | "text" | "at" | "fault" | "reason" | "refused", value) => plain(value),
        _ => plain(said),
    }
}

fn plain(value: &Json) -> Said {
    let whole = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text: String = whole.chars().take(SAID_LENGTH_MAX).collect();
    if text.len() < whole.len() {
        text.push('…');
    }
    Said {
        text,
        is_word: false,
    }
}

/// What the form that starts a shadow sends.
#[derive(serde::Deserialize)]
pub struct StartForm {
    since: Since,
}

/// `POST /operator/plugins/{digest}/shadow`.
pub async fn start(
    visit: Visit,
    Path(begins): Path<String>,
    signed: Signed<StartForm>,
) -> Result<Response, Error> {
    let host = &visit.host;
    let (by, now) = (name(&signed.session), host.clock.now());
    let within = signed.form.since.within();
    let started = shadow::request(&host.store, begins, within, by, now).await;
    let started = started.map_err(crate::web::error::Error::from)?;
    host.pipeline.notify_changed();
    let path = plugins::path(&started.digest);
    Ok(see_other(&format!("{path}?done=shadows")))
}

/// `POST /operator/plugins/{digest}/shadow/end`.
pub async fn end(
    visit: Visit,
    Path(begins): Path<String>,
    _: Signed<Nothing>,
) -> Result<Response, Error> {
    shadow::end(&visit.host.store, begins.clone()).await?;
    visit.host.pipeline.notify_changed();
    let path = plugins::path(&begins);
    Ok(see_other(&format!("{path}?done=ended")))
}
