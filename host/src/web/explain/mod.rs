//! Why a record did, or did not, reach a user: step by step, from what the store
//! holds. HubSpot is not called.
//!
//! Of a record that matches nobody nothing readable is kept, so nothing is told
//! of it but that it is known, and that it matches nobody.

mod aside;
mod asked;
mod finding;
mod names;
mod steps;
mod story;
pub mod words;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use self::{aside::Asides, asked::Subject, names::Names, story::Teller};
use super::{api::values, error::Error};
use crate::{
    host::Host,
    model::{
        ConnectionId, KeyKind, ObjectType, ProjectId, RecordId, Timestamp, UserId, UserIdentifier,
        Value, normalise,
    },
    pipeline::routing::ConnectionRoute,
    secrets::Keys,
    store,
    web::api::connections,
};

/// The most characters of a question.
pub const QUESTION_LENGTH_MAX: usize = 500;

/// Stories that one answer tells.
const STORIES_MAX: usize = 12;

/// Users, of several with one address, that are told of.
const USERS_MAX: usize = 3;

/// A step on the way from HubSpot to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// HubSpot told of the record.
    Received,
    /// What it told could be understood.
    Parsed,
    /// It is the user's.
    Matched,
    /// Of several records it is the one that feeds the user.
    Selected,
    /// Its properties are mapped to variables.
    Mapped,
    /// The user shows what it says.
    Written,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It was done.
    Done,
    /// It waits, and goes on by itself.
    Waiting,
    /// It ended here.
    Stopped,
    /// What is before it was not done.
    NotReached,
}

/// A step, with how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// The step.
    pub stage: Stage,
    /// How it stands.
    pub standing: Standing,
    /// What happened, for people.
    pub detail: String,
    /// What to do, where something can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// When it happened, or will.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A mapped property, with what the user shows of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Field {
    /// The property.
    pub property: String,
    /// The variable's name.
    pub variable: String,
    /// Whether the user shows what the record says of it.
    pub standing: Standing,
    /// Why, or why not.
    pub detail: String,
    /// What the user shows.
    #[serde(serialize_with = "shown", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub value: Option<Value>,
    /// HubSpot's stamp of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// When it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
}

/// One record's way to one user.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Story {
    /// The record's type; none where it is not known.
    pub object_type: Option<ObjectType>,
    /// The record; none where the user has none.
    pub record_id: Option<RecordId>,
    /// The user; none where the record has none.
    pub user: Option<UserId>,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The mapped properties.
    pub fields: Vec<Field>,
}

/// What is known of what was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The answer, in a sentence or two.
    pub answer: String,
    /// The ways of records to users, one by one.
    pub stories: Vec<Story>,
}

fn shown<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(values::to_json).serialize(serializer)
}

impl Story {
    /// The step where it ended or waits; none where it came through.
    pub fn stopped_at(&self) -> Option<&Step> {
        let mut steps = self.steps.iter();
        steps.find(|step| matches!(step.standing, Standing::Stopped | Standing::Waiting))
    }

    fn from_steps(steps: Vec<Step>) -> Self {
        Self {
            object_type: None,
            record_id: None,
            user: None,
            steps,
            fields: Vec::new(),
        }
    }
}

/// What the store knows of what `question` names: an e-mail address, a record's
/// id with or without its type, the address of its page in HubSpot, or a user's
/// id of either kind.
///
/// # Errors
///
/// [`Error::Malformed`] where it names nothing; and the store's.
pub async fn explain(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    question: &str,
) -> Result<Explanation, Error> {
    let plugin = connections::plugin(host, project, id).await?;
    let names = Names::of(plugin.description());
    let subject = match question.len() > QUESTION_LENGTH_MAX {
        true => None,
        false => asked::read(question, &names),
    };
    let subject = subject.ok_or_else(|| {
        Error::Malformed("Give an e-mail address, a HubSpot record’s id, or a User ID.".into())
    })?;
    let (keys, now) = (host.keys.clone(), host.clock.now());
    Ok(host
        .store
        .read(move |tx| {
            let connection = tx.connection(project, id)?;
            let Some((account, key)) = connection.account.clone() else {
                return Ok(not_connected());
            };
            let route = ConnectionRoute::of_account(tx, &connection, account)?;
            let teller = Teller {
                tx,
                route: &route,
                names: &names,
                aside: &Asides::load(tx, (plugin.connector(), &key), plugin.description())?,
                label: &plugin.description().label,
                now,
            };
            answer(&teller, &keys, &subject)
        })
        .await?)
}

fn not_connected() -> Explanation {
    Explanation {
        answer: "No HubSpot account is connected yet, so nothing has come from it.".into(),
        stories: Vec::new(),
    }
}

fn answer(
    teller: &Teller<'_, '_>,
    keys: &Keys,
    subject: &Subject,
) -> Result<Explanation, store::Error> {
    let (tx, route) = (teller.tx, teller.route);
    if route.mappings.is_empty() {
        return Ok(Explanation {
            answer: "Nothing is mapped yet, so nothing reaches any user: choose the fields to \
                     sync first."
                .into(),
            stories: Vec::new(),
        });
    }
    let (stories, nobody) = match subject {
        Subject::Record(object_type, record) => {
            let stories = teller.of_record(object_type.as_ref(), record)?;
            (stories, String::new())
        }
        Subject::Number(number) => (of_number(teller, number)?, String::new()),
        Subject::User(user) => match tx.user(route.project, *user) {
            Ok(_) => (teller.of_user(*user)?, String::new()),
            Err(store::Error::NotFound(_)) => (Vec::new(), "There is no such user.".to_owned()),
            Err(error) => return Err(error),
        },
        Subject::Email(email) => of_email(teller, keys, email)?,
        Subject::ExternalId(id) => {
            let users = with_external_id(teller, id)?;
            let nobody = "No user of this project has that User ID.".to_owned();
            (of_users(teller, &users)?, nobody)
        }
    };
    let mut stories = stories;
    stories.truncate(STORIES_MAX);
    Ok(Explanation {
        answer: sum_up(teller, &stories, nobody)?,
        stories,
    })
}

fn with_external_id(teller: &Teller<'_, '_>, id: &str) -> Result<Vec<UserId>, store::Error> {
    let identifier = UserIdentifier::ExternalId;
    match normalise(KeyKind::Id, id) {
        Some(key) => {
            let project = teller.route.project;
            teller
                .tx
                .users_by_key(project, identifier, KeyKind::Id, &key)
        }
        None => Ok(Vec::new()),
    }
}

/// The user with that User ID, and the records with that id; where there is neither,
/// what may be known of such a record.
fn of_number(teller: &Teller<'_, '_>, number: &str) -> Result<Vec<Story>, store::Error> {
    let record = RecordId::from(number);
    let mut stories = of_users(teller, &with_external_id(teller, number)?)?;
    if stories.is_empty() {
        return teller.of_record(None, &record);
    }
    for story in teller.of_seen(None, &record)? {
        // The user's own record may have the same number.
        if !stories.contains(&story) {
            stories.push(story);
        }
    }
    Ok(stories)
}

fn of_users(teller: &Teller<'_, '_>, users: &[UserId]) -> Result<Vec<Story>, store::Error> {
    let mut stories = Vec::new();
    for user in users.iter().take(USERS_MAX) {
        stories.extend(teller.of_user(*user)?);
    }
    Ok(stories)
}

/// The users with an address, or with a User ID like it, else the records with it,
/// of which only that they are known is told.
fn of_email(
    teller: &Teller<'_, '_>,
    keys: &Keys,
    email: &str,
) -> Result<(Vec<Story>, String), store::Error> {
    let (tx, route) = (teller.tx, teller.route);
    let Some(key) = normalise(KeyKind::Email, email) else {
        return Ok((Vec::new(), "This is no e-mail address.".to_owned()));
    };
    let mut users = tx.users_by_key(route.project, UserIdentifier::Email, KeyKind::Email, &key)?;
    for user in with_external_id(teller, email)? {
        if !users.contains(&user) {
            users.push(user);
        }
    }
    if !users.is_empty() {
        return Ok((of_users(teller, &users)?, String::new()));
    }
    let mut stories = Vec::new();
    let digest = keys.digest_match_key(&route.id.to_string(), KeyKind::Email, &key);
    for mapping in &route.mappings {
        let is_by_email = mapping
            .matching
            .as_ref()
            .is_some_and(|rule| rule.identifier == UserIdentifier::Email);
        if is_by_email {
            for (_, record, _) in tx.records_by_digest(route.id, &mapping.object_type, digest)? {
                stories.extend(teller.of_record(Some(&mapping.object_type), &record)?);
            }
        }
    }
    let nobody = format!(
        "No user in Jimo has that e-mail address, and {} has told us of no record with it. Users \
         come to exist when they open your product; then their record is looked for at once.",
        teller.label
    );
    Ok((stories, nobody))
}

fn sum_up(
    teller: &Teller<'_, '_>,
    stories: &[Story],
    nobody: String,
) -> Result<String, store::Error> {
    let stopped: Vec<&Step> = stories.iter().filter_map(Story::stopped_at).collect();
    Ok(match (stories, stopped.as_slice()) {
        ([], _) => nobody,
        (_, []) => match stories {
            [one] => match one.user {
                Some(user) => format!(
                    "It reached {}: what {} says shows on the profile.",
                    teller.called(user)?,
                    teller.label
                ),
                None => "It came through.".to_owned(),
            },
            _ => "All of it came through.".to_owned(),
        },
        ([_], [step]) => step.detail.clone(),
        (_, [step, ..]) if stopped.len() == stories.len() => step.detail.clone(),
        (_, [step, ..]) => format!(
            "{} of {} ways came through. Where one did not: {}",
            stories.len() - stopped.len(),
            stories.len(),
            step.detail
        ),
    })
}
