//! Who signs in, and to what: the pages by which people come in, and the
//! settings of the project, its team, its API tokens and one's own account.

mod account;
mod general;
mod join;
mod reset;
mod team;
mod tokens;
mod welcome;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    routing::{get, post},
};

use crate::{
    host::Host,
    secrets::Secret,
    store::{members::Person, projects::Role},
};

/// Where the settings of the team are.
const TEAM: &str = "/settings/team";

/// Where one's own are.
const ACCOUNT: &str = "/settings/account";

/// The routes by which people come in with a link.
pub(super) fn arriving() -> Router<Arc<Host>> {
    Router::new()
        .route("/welcome", get(welcome::page).post(welcome::begin))
        .route("/join", get(join::page).post(join::join))
        .route("/join/here", post(join::join_here))
        .route("/reset-password", get(reset::page).post(reset::reset))
}

/// The other routes.
pub(super) fn router() -> Router<Arc<Host>> {
    let account = Router::new()
        .route("/", get(account::page))
        .route("/name", post(account::rename))
        .route("/password", post(account::change_password))
        .route("/sessions/{session}/end", post(account::end_session))
        .route("/sign-out-everywhere", post(account::sign_out_everywhere));
    let team = Router::new()
        .route("/", get(team::page).post(team::invite))
        .route(
            "/invitations/{invitation}/revoke",
            post(team::revoke_invitation),
        )
        .route("/{person}/role", post(team::change_role))
        .route(
            "/{person}/remove",
            get(team::remove_page).post(team::remove),
        )
        .route("/{person}/reset-link", post(team::reset_link));
    Router::new()
        .route("/switch-project", post(account::switch_project))
        .route(
            "/settings/general",
            get(general::page).post(general::change),
        )
        .route("/settings/tokens", get(tokens::page).post(tokens::create))
        .route("/settings/tokens/{token}/revoke", post(tokens::revoke))
        .nest(TEAM, team)
        .nest(ACCOUNT, account)
}

/// What a link's address has.
#[derive(serde::Deserialize)]
pub struct LinkQuery {
    token: Option<Secret>,
}

/// What is wrong with fields, by their names.
#[derive(Default)]
struct Wrong(BTreeMap<&'static str, String>);

impl Wrong {
    /// What is wrong with one.
    fn of(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    fn add(&mut self, field: &'static str, told: impl Into<String>) {
        self.0.insert(field, told.into());
    }

    /// What was read of a field; none where something is wrong with it.
    fn take<T>(&mut self, field: &'static str, read: Result<T, String>) -> Option<T> {
        read.map_err(|told| self.add(field, told)).ok()
    }
}

/// A member, as pages show them.
pub(super) struct Face {
    pub name: String,
    pub email: String,
    /// Up to two letters in place of a picture.
    pub initials: String,
    /// One of eight colours, the same for the same person.
    pub tone: i64,
}

impl From<&Person> for Face {
    fn from(person: &Person) -> Self {
        Self {
            name: person.name.clone(),
            email: person.email.clone(),
            initials: super::users::initials(&person.name),
            tone: person.id.0.rem_euclid(8),
        }
    }
}

/// A role as a form says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoleChoice {
    Admin,
    Viewer,
}

impl From<RoleChoice> for Role {
    fn from(role: RoleChoice) -> Self {
        match role {
            RoleChoice::Admin => Self::Admin,
            RoleChoice::Viewer => Self::Viewer,
        }
    }
}

/// What a role is called.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "Admin",
        Role::Viewer => "Viewer",
        Role::Operator => "Operator",
    }
}

/// The time zones to choose from: the names of places, without those that are
/// kept for old programs alone.
static TIME_ZONES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let of_places = [
        "Africa/",
        "America/",
        "Antarctica/",
        "Arctic/",
        "Asia/",
        "Atlantic/",
        "Australia/",
        "Europe/",
        "Indian/",
        "Pacific/",
    ];
    let names = jiff::tz::db().available().map(|name| name.to_string());
    let mut zones: Vec<_> = names
        .filter(|name| of_places.iter().any(|place| name.starts_with(place)))
        .collect();
    zones.sort_unstable();
    zones.dedup();
    zones.insert(0, "UTC".to_owned());
    zones
});
