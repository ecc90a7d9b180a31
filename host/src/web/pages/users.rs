//! Audience → Users.

use askama::Template;
use axum::response::Html;

use super::{Error, Frame, Section, Visit, extract::Query, html};
use crate::{
    model::UserId,
    store::users::{User, UserFilter},
};

/// Users on one page.
const PAGE_USERS: usize = 50;

/// What is asked for.
#[derive(serde::Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    q: String,
    after: Option<UserId>,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    query: String,
    users: Vec<Person>,
    total: String,
    summary: String,
    is_first: bool,
    next: Option<UserId>,
}

/// A user as people recognise them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Jimo's own id.
    pub id: UserId,
    /// The name, else the e-mail address, else `Anonymous`.
    pub display_name: String,
    /// Up to two letters in place of a picture.
    pub initials: String,
    /// One of eight colours, the same for the same user.
    pub tone: i64,
    /// The name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The customer's own id.
    pub external_id: Option<String>,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        let display_name = user
            .name
            .clone()
            .or_else(|| user.email.clone())
            .or_else(|| user.external_id.clone())
            .unwrap_or_else(|| "Anonymous".to_owned());
        Self {
            id: user.id,
            initials: initials(&display_name),
            tone: user.id.0.rem_euclid(8),
            display_name,
            name: user.name,
            email: user.email,
            external_id: user.external_id,
        }
    }
}

/// Up to two letters in place of a picture.
pub(super) fn initials(name: &str) -> String {
    name.split(|c: char| !c.is_alphanumeric())
        .filter_map(|word| word.chars().next())
        .take(2)
        .flat_map(char::to_uppercase)
        .collect()
}

/// `GET /users`.
pub async fn page(visit: Visit, Query(query): Query<ListQuery>) -> Result<Html<String>, Error> {
    let project = visit.session.project.id;
    let text = query.q.trim().to_owned();
    let filter = UserFilter {
        text: (!text.is_empty()).then(|| text.clone()),
        ..UserFilter::default()
    };
    let after = query.after.unwrap_or(UserId(0));
    let (total, mut users) = visit
        .host
        .store
        .read(move |tx| {
            let users = tx.users(project, &filter, after, PAGE_USERS + 1)?;
            Ok((tx.user_count(project)?, users))
        })
        .await?;
    let more = users.len() > PAGE_USERS;
    users.truncate(PAGE_USERS);
    let next = users.last().filter(|_| more).map(|user| user.id);
    let is_first = query.after.is_none();
    let shown = users.len();
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of users are far below 2^52"
    )]
    let total_text = super::format::number(total as f64);
    let summary = match (shown, is_first && !more) {
        (0, _) => "No users found".to_owned(),
        (1, true) => "1 user found".to_owned(),
        (shown, true) => format!("{shown} users found"),
        (shown, false) => format!("{shown} users on this page"),
    };
    html(&UsersPage {
        frame: visit.frame("Users", Section::Users),
        query: text,
        users: users.into_iter().map(Person::from).collect(),
        total: total_text,
        summary,
        is_first,
        next,
    })
}
