//! One's own account: name, password, signed-in browsers, and which project is
//! looked at.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{
        Error, Frame, Section, Visit,
        error::password_refusal,
        extract::{Path, Query},
        format::Moment,
        html, see_other,
        sign_in::{self, Nothing},
    },
    ACCOUNT, Face, Wrong, role_name,
};
use crate::{
    members::{self, rules},
    model::ProjectId,
    secrets::Secret,
    store::members::Person,
    web::session::{SESSION_IDLE, Session, Signed},
};

/// A browser that is signed in.
struct Browser {
    id: i64,
    name: String,
    project: String,
    is_this: bool,
    signed_in: Moment,
    used: Moment,
}

#[derive(Template)]
#[template(path = "members/account.html")]
struct AccountPage {
    frame: Frame,
    /// None where a link signed in.
    face: Option<Face>,
    role: &'static str,
    name: String,
    browsers: Vec<Browser>,
    /// What the form that led here did.
    done: Option<&'static str>,
    wrong: Wrong,
}

impl AccountPage {
    async fn load(visit: &Visit) -> Result<Self, Error> {
        let frame = visit.settings_frame("Account", Section::Account).await?;
        let (own, now) = (visit.session.person_id(), visit.host.clock.now());
        let sessions = visit.host.store.read(move |tx| match own {
            Some(person) => tx.sessions_of(person, now, now.minus(SESSION_IDLE)),
            None => Ok(Vec::new()),
        });
        let calendar = visit.calendar();
        let browser = |session: crate::store::sessions::Listed| Browser {
            is_this: session.id == visit.session.id,
            id: session.id,
            name: session.browser,
            project: session.project,
            signed_in: calendar.moment(session.created_at),
            used: calendar.moment(session.used_at),
        };
        let person = visit.session.person.as_ref();
        Ok(Self {
            frame,
            face: person.map(Face::from),
            role: role_name(visit.session.role),
            name: person.map(|person| person.name.clone()).unwrap_or_default(),
            browsers: sessions.await?.into_iter().map(browser).collect(),
            done: None,
            wrong: Wrong::default(),
        })
    }

    fn refused(self) -> Result<Response, Error> {
        Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&self)?).into_response())
    }
}

/// Who is signed in; a link's session has no account.
fn person(session: &Session) -> Result<Person, Error> {
    let person = session.person.clone();
    person.ok_or_else(|| Error::Refused("You are signed in by a link, without an account.".into()))
}

/// `GET /settings/account`.
pub async fn page(visit: Visit, Query(query): Query<PageQuery>) -> Result<Html<String>, Error> {
    let mut page = AccountPage::load(&visit).await?;
    page.done = query.done.map(|done| match done {
        Done::Name => "Your name is saved.",
        Done::Password => "Your password is changed, and your other browsers are signed out.",
        Done::SignedOut => "That browser is signed out.",
    });
    html(&page)
}

/// Which form led to the page.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Name,
    Password,
    SignedOut,
}

/// What the page is told by the form that led to it.
#[derive(serde::Deserialize)]
pub struct PageQuery {
    done: Option<Done>,
}

/// What the form that changes a name sends.
#[derive(serde::Deserialize)]
pub struct NameForm {
    #[serde(default)]
    name: String,
}

/// `POST /settings/account/name`.
pub async fn rename(visit: Visit, signed: Signed<NameForm>) -> Result<Response, Error> {
    let id = person(&signed.session)?.id;
    match rules::name(&signed.form.name) {
        Ok(name) => {
            let renamed = visit
                .host
                .store
                .transact(move |tx| tx.rename_person(id, &name));
            renamed.await?;
            Ok(see_other(&format!("{ACCOUNT}?done=name")))
        }
        Err(told) => {
            let mut page = AccountPage::load(&visit).await?;
            page.name = signed.form.name;
            page.wrong.add("name", told);
            page.refused()
        }
    }
}

/// What the form that changes a password sends.
#[derive(serde::Deserialize)]
pub struct PasswordForm {
    current: Secret,
    password: Secret,
}

/// `POST /settings/account/password`: other browsers are signed out, and this
/// one goes on with another token.
pub async fn change_password(
    visit: Visit,
    signed: Signed<PasswordForm>,
) -> Result<Response, Error> {
    let (session, form) = (signed.session, signed.form);
    let person = person(&session)?;
    let mut wrong = Wrong::default();
    let judged = rules::password(&form.password, &person.email);
    if wrong.take("password", judged).is_some() {
        let (current, new) = (&form.current, &form.password);
        match members::change_password(&visit.host, &person, current, new, session.id).await {
            Ok(()) => {
                let renewed = session.renew(&visit.host, session.project.id).await?;
                let done = see_other(&format!("{ACCOUNT}?done=password"));
                return Ok((renewed, done).into_response());
            }
            Err(error @ (members::Error::Wrong | members::Error::TooManyAttempts)) => {
                wrong.add("current", password_refusal(&error));
            }
            Err(other) => return Err(other.into()),
        }
    }
    let mut page = AccountPage::load(&visit).await?;
    page.wrong = wrong;
    page.refused()
}

/// `POST /settings/account/sessions/{session}/end`: signs a browser out.
pub async fn end_session(
    visit: Visit,
    Path(id): Path<i64>,
    signed: Signed<Nothing>,
) -> Result<Response, Error> {
    let session = signed.session;
    let own = person(&session)?.id;
    let ended = visit
        .host
        .store
        .transact(move |tx| tx.end_session_of(own, id));
    if !ended.await? {
        return Err(Error::NotFound("session"));
    }
    visit.host.pipeline.notify_changed();
    Ok(match id == session.id {
        true => sign_in::gone(&visit.host),
        false => see_other(&format!("{ACCOUNT}?done=signed-out")),
    })
}

/// `POST /settings/account/sign-out-everywhere`: this browser, too.
pub async fn sign_out_everywhere(visit: Visit, signed: Signed<Nothing>) -> Result<Response, Error> {
    let own = person(&signed.session)?.id;
    let ended = visit.host.store.transact(move |tx| tx.end_sessions_of(own));
    ended.await?;
    visit.host.pipeline.notify_changed();
    Ok(sign_in::gone(&visit.host))
}

/// What the menu of projects sends.
#[derive(serde::Deserialize)]
pub struct SwitchForm {
    project: ProjectId,
}

/// `POST /switch-project`: looks at another of one's projects.
pub async fn switch_project(visit: Visit, signed: Signed<SwitchForm>) -> Result<Response, Error> {
    let (session, project) = (signed.session, signed.form.project);
    let own = person(&session)?.id;
    let role = visit
        .host
        .store
        .read(move |tx| tx.member_role(project, own));
    role.await?.ok_or(Error::NotFound("project"))?;
    let renewed = session.renew(&visit.host, project).await?;
    Ok((renewed, see_other("/users")).into_response())
}
