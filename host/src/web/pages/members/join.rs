//! Accepting an invitation.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::{
    super::{
        Bare, Error,
        extract::{Form, Query},
        html, see_other, sign_in,
    },
    LinkQuery, Wrong, role_name,
};
use crate::{
    host::Host,
    members::{self, rules},
    secrets::Secret,
    store::{members::Person, people_links::Invitation},
    web::session::{Session, Signed},
};

/// Where who has joined goes on, in the project that they have joined.
const NEXT: &str = "/users";

/// How somebody accepts.
enum Way {
    /// They are signed in as who is invited: the code of their forms.
    Here(String),
    /// They have an account.
    Password,
    /// They have none.
    New,
}

#[derive(Template)]
#[template(path = "members/join.html")]
struct JoinPage {
    page: Bare,
    token: String,
    project: String,
    role: &'static str,
    made_by: Option<String>,
    email: String,
    way: Way,
    name: String,
    wrong: Wrong,
}

impl JoinPage {
    fn new(host: &Host, token: &Secret, invitation: Invitation, way: Way) -> Self {
        Self {
            page: Bare::new(host, format!("Join {}", invitation.project.name)),
            token: token.expose().to_owned(),
            project: invitation.project.name,
            role: role_name(invitation.role),
            made_by: invitation.made_by,
            email: invitation.email.text,
            way,
            name: String::new(),
            wrong: Wrong::default(),
        }
    }
}

/// How who has the invitation's address accepts it.
fn way(host: &Host, invited: Option<&Person>, session: Option<&Session>) -> Way {
    let Some(invited) = invited else {
        return Way::New;
    };
    match session.filter(|session| session.person_id() == Some(invited.id)) {
        Some(session) => Way::Here(session.csrf(host).expose().to_owned()),
        None => Way::Password,
    }
}

/// `GET /join`.
pub async fn page(
    State(host): State<Arc<Host>>,
    Query(query): Query<LinkQuery>,
    session: Result<Session, Error>,
) -> Result<Response, Error> {
    let token = query.token.ok_or(Error::BadLink)?;
    let (invitation, invited) = members::find_invitation(&host, &token).await?;
    let way = way(&host, invited.as_ref(), session.ok().as_ref());
    let page = JoinPage::new(&host, &token, invitation, way);
    Ok(html(&page)?.into_response())
}

/// What the form of [`JoinPage`] sends.
#[derive(serde::Deserialize)]
pub struct JoinForm {
    token: Secret,
    #[serde(default)]
    name: String,
    password: Secret,
}

/// `POST /join`: with the password of an account, or as somebody new.
pub async fn join(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(form): Form<JoinForm>,
) -> Result<Response, Error> {
    let (invitation, invited) = members::find_invitation(&host, &form.token).await?;
    let mut wrong = Wrong::default();
    let (way, joined) = match &invited {
        Some(invited) => {
            let joined = with_password(&host, &form, invited, &mut wrong).await?;
            (Way::Password, joined)
        }
        None => {
            let name = wrong.take("name", rules::name(&form.name));
            let password = rules::password(&form.password, &invitation.email.text);
            let password = wrong.take("password", password);
            let joined = match name.zip(password) {
                Some((name, ())) => {
                    Some(members::join_new(&host, &form.token, name, &form.password).await?)
                }
                None => None,
            };
            (Way::New, joined)
        }
    };
    if let Some((person, project)) = joined {
        return sign_in::enter(&host, person, project, &headers, Some(NEXT)).await;
    }
    let page = JoinPage {
        name: form.name,
        wrong,
        ..JoinPage::new(&host, &form.token, invitation, way)
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

async fn with_password(
    host: &Host,
    form: &JoinForm,
    invited: &Person,
    wrong: &mut Wrong,
) -> Result<Option<(crate::model::PersonId, crate::model::ProjectId)>, Error> {
    match members::check_password(host, &invited.email, &form.password).await {
        Ok(person) => {
            let project = members::join(host, &form.token, person.id).await?;
            Ok(Some((person.id, project)))
        }
        Err(error @ (members::Error::Wrong | members::Error::TooManyAttempts)) => {
            wrong.add("password", super::super::error::password_refusal(&error));
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

/// What the form sends where its person is signed in.
#[derive(serde::Deserialize)]
pub struct HereForm {
    token: Secret,
}

/// `POST /join/here`: as who is signed in.
pub async fn join_here(
    State(host): State<Arc<Host>>,
    signed: Signed<HereForm>,
) -> Result<Response, Error> {
    let session = signed.session;
    let person = session.person_id().ok_or(members::Error::OthersLink)?;
    let project = members::join(&host, &signed.form.token, person).await?;
    let renewed = session.renew(&host, project).await?;
    Ok((renewed, see_other(NEXT)).into_response())
}
