//! An explanation, for people.

use super::super::super::{
    format::{Calendar, Moment, Shown},
    record_links::{RecordLinks, object_names},
    users::Person,
};
use crate::{
    model::{ConnectionId, ProjectId},
    store::{self, Tx},
    web::explain::{Explanation, Field, Stage, Standing, Step, Story},
};

/// What is told.
pub(super) struct Told {
    pub answer: String,
    pub stories: Vec<ToldStory>,
}

/// The way of a record to a user.
pub(super) struct ToldStory {
    /// `Contact 551`.
    pub record: String,
    /// The record's page.
    pub link: Option<String>,
    pub person: Option<Person>,
    pub steps: Vec<ToldStep>,
    pub fields: Vec<ToldField>,
}

/// A step of it.
pub(super) struct ToldStep {
    pub name: &'static str,
    pub class: &'static str,
    pub tone: &'static str,
    pub word: &'static str,
    /// Whether what is before it was not done.
    pub is_beyond: bool,
    pub detail: String,
    pub at: Option<Moment>,
    pub remedy: Option<String>,
}

/// A mapped property.
pub(super) struct ToldField {
    pub property: String,
    pub variable: String,
    pub value: Option<String>,
    pub tone: &'static str,
    pub word: &'static str,
    pub detail: String,
    pub written: Option<Moment>,
}

/// An explanation, with names and links.
pub(super) fn told(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    explanation: Explanation,
    links: &RecordLinks,
    calendar: &Calendar,
) -> Result<Told, store::Error> {
    let mut stories = Vec::new();
    for story in explanation.stories {
        stories.push(story_of(tx, project, connection, story, links, calendar)?);
    }
    Ok(Told {
        answer: explanation.answer,
        stories,
    })
}

fn story_of(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    story: Story,
    links: &RecordLinks,
    calendar: &Calendar,
) -> Result<ToldStory, store::Error> {
    let (record, link) = match (&story.object_type, &story.record_id) {
        (Some(object_type), Some(record)) => {
            let (object, link) = links.of(tx, connection, object_type, record)?;
            (format!("{object} {record}"), link)
        }
        (None, Some(record)) => (format!("Record {record}"), None),
        (Some(object_type), None) => {
            let (object, _) = object_names(object_type.as_str());
            (format!("No {}", object.to_lowercase()), None)
        }
        (None, None) => ("No record".to_owned(), None),
    };
    let person = match story.user.map(|user| tx.user(project, user)) {
        None | Some(Err(store::Error::NotFound(_))) => None,
        Some(user) => Some(user?.into()),
    };
    Ok(ToldStory {
        record,
        link,
        person,
        steps: story
            .steps
            .into_iter()
            .map(|one| step(one, calendar))
            .collect(),
        fields: story
            .fields
            .into_iter()
            .map(|one| field(one, calendar))
            .collect(),
    })
}

fn step(step: Step, calendar: &Calendar) -> ToldStep {
    let (class, tone, word) = words(step.standing);
    ToldStep {
        name: match step.stage {
            Stage::Received => "Received",
            Stage::Parsed => "Understood",
            Stage::Matched => "Matched",
            Stage::Selected => "Selected",
            Stage::Mapped => "Mapped",
            Stage::Written => "Written",
        },
        class,
        tone,
        word,
        is_beyond: step.standing == Standing::NotReached,
        detail: step.detail,
        at: step.at.map(|at| calendar.moment(at)),
        remedy: step.remedy,
    }
}

fn field(field: Field, calendar: &Calendar) -> ToldField {
    let (_, tone, word) = words(field.standing);
    let value = field.value.map(|value| match calendar.value(&value) {
        Shown::Text(text) | Shown::Number(text) => text,
        Shown::Boolean(true) => "Yes".to_owned(),
        Shown::Boolean(false) => "No".to_owned(),
        Shown::Moment(moment) => moment.text,
        Shown::List(items) => items.join(", "),
    });
    ToldField {
        property: field.property,
        variable: field.variable,
        value,
        tone,
        word,
        detail: field.detail,
        written: field.written_at.map(|at| calendar.moment(at)),
    }
}

/// The class, the tone and the word of how something stands.
fn words(standing: Standing) -> (&'static str, &'static str, &'static str) {
    match standing {
        Standing::Done => ("done", "good", "Done"),
        Standing::Waiting => ("waiting", "warn", "Waits"),
        Standing::Stopped => ("stopped", "bad", "Stopped here"),
        Standing::NotReached => ("not-reached", "", "Not reached"),
    }
}
