//! Settings → Team: members and invitations.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use url::Url;

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::Path,
        format::Moment,
        html, see_other,
        sign_in::{self, Nothing},
    },
    Face, RoleChoice, TEAM, Wrong, role_name,
};
use crate::{
    members::{self, rules},
    model::PersonId,
    store::{members::Member, people_links::Invitation, projects::Role},
    web::session::{Posted, Signed},
};

/// A member as they are listed.
struct MemberRow {
    id: PersonId,
    face: Face,
    role: &'static str,
    is_admin: bool,
    is_self: bool,
    joined: Moment,
    /// Whether who looks may make a link for them to choose a new password.
    may_reset: bool,
}

/// An invitation as it is listed.
struct InvitationRow {
    id: i64,
    email: String,
    role: &'static str,
    made_by: Option<String>,
    until: Moment,
}

/// A link that was just made, which is shown this once.
struct Made {
    link: Url,
    title: String,
    detail: &'static str,
}

#[derive(Template)]
#[template(path = "members/team.html")]
struct TeamPage {
    frame: Frame,
    members: Vec<MemberRow>,
    invitations: Vec<InvitationRow>,
    made: Option<Made>,
    /// Why something was not done.
    refusal: Option<String>,
    email: String,
    invites_admin: bool,
    wrong: Wrong,
}

impl TeamPage {
    async fn load(visit: &Visit) -> Result<Self, Error> {
        let frame = visit.settings_frame("Team", Section::Team).await?;
        let (project, own) = (visit.session.project.id, visit.session.person_id());
        let (calendar, now) = (visit.calendar(), visit.host.clock.now());
        let may_change = visit.session.may_change();
        let loaded = visit.host.store.read(move |tx| {
            let row = |member: Member| {
                let id = member.person.id;
                Ok(MemberRow {
                    id,
                    face: Face::from(&member.person),
                    role: role_name(member.role),
                    is_admin: member.role == Role::Admin,
                    is_self: own == Some(id),
                    joined: calendar.day(member.joined_at),
                    may_reset: may_change && members::may_reset(tx, project, id, own)?,
                })
            };
            let listed = tx.members(project)?.into_iter().map(row);
            let listed = listed.collect::<Result<Vec<_>, crate::store::Error>>()?;
            let row = |invitation: Invitation| InvitationRow {
                id: invitation.id,
                email: invitation.email.text,
                role: role_name(invitation.role),
                made_by: invitation.made_by,
                until: calendar.moment(invitation.expires_at),
            };
            let waiting = tx.invitations(project, now)?.into_iter().map(row);
            Ok((listed, waiting.collect()))
        });
        let (members, invitations) = loaded.await?;
        Ok(Self {
            frame,
            members,
            invitations,
            made: None,
            refusal: None,
            email: String::new(),
            invites_admin: false,
            wrong: Wrong::default(),
        })
    }

    fn refused(self) -> Result<Response, Error> {
        Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&self)?).into_response())
    }
}

/// `GET /settings/team`.
pub async fn page(visit: Visit) -> Result<Html<String>, Error> {
    html(&TeamPage::load(&visit).await?)
}

/// What the form that invites sends.
#[derive(serde::Deserialize)]
pub struct InviteForm {
    #[serde(default)]
    email: String,
    role: RoleChoice,
}

/// `POST /settings/team`: invites somebody, and shows the link.
pub async fn invite(visit: Visit, posted: Posted<InviteForm>) -> Result<Response, Error> {
    let form = posted.form;
    let refused = async |told: String| {
        let mut page = TeamPage::load(&visit).await?;
        page.wrong.add("email", told);
        page.email = form.email.clone();
        page.invites_admin = form.role == RoleChoice::Admin;
        page.refused()
    };
    let email = match rules::email(&form.email) {
        Ok(email) => email,
        Err(told) => return refused(told).await,
    };
    let (project, made_by) = (visit.session.project.id, visit.session.person_id());
    let address = email.text.clone();
    match members::invite(&visit.host, project, email, form.role.into(), made_by).await {
        Ok(link) => {
            let mut page = TeamPage::load(&visit).await?;
            page.made = Some(Made {
                link,
                title: format!("Send this link to {address}"),
                detail: "It is shown this once, and good once, within seven days. Whoever has it \
                         can join, so send it to nobody else.",
            });
            Ok(html(&page)?.into_response())
        }
        Err(members::Error::MemberAlready) => {
            refused("This person is a member already.".to_owned()).await
        }
        Err(members::Error::TooManyInvitations) => {
            let told = format!(
                "{} invitations are waiting already. Revoke some of them first.",
                members::INVITATIONS_MAX
            );
            refused(told).await
        }
        Err(other) => Err(other.into()),
    }
}

/// `POST /settings/team/invitations/{invitation}/revoke`.
pub async fn revoke_invitation(
    visit: Visit,
    Path(invitation): Path<i64>,
    _: Posted<Nothing>,
) -> Result<Response, Error> {
    let project = visit.session.project.id;
    let removed = visit
        .host
        .store
        .transact(move |tx| tx.remove_invitation(project, invitation));
    match removed.await? {
        true => Ok(see_other(TEAM)),
        false => Err(Error::NotFound("invitation")),
    }
}

/// What the form that changes a role sends.
#[derive(serde::Deserialize)]
pub struct RoleForm {
    role: RoleChoice,
}

/// `POST /settings/team/{person}/role`.
pub async fn change_role(
    visit: Visit,
    Path(person): Path<PersonId>,
    posted: Posted<RoleForm>,
) -> Result<Response, Error> {
    let project = visit.session.project.id;
    let role = posted.form.role.into();
    match members::change_role(&visit.host, project, person, role).await {
        Ok(()) => Ok(see_other(TEAM)),
        Err(error @ members::Error::LastAdmin) => last_admin(&visit, error).await,
        Err(other) => Err(other.into()),
    }
}

/// The team's page, which says why nothing was changed.
async fn last_admin(visit: &Visit, error: members::Error) -> Result<Response, Error> {
    let mut page = TeamPage::load(visit).await?;
    page.refusal = Some(Error::from(error).to_string());
    page.refused()
}

#[derive(Template)]
#[template(path = "members/remove.html")]
struct RemovePage {
    frame: Frame,
    id: PersonId,
    face: Face,
    is_self: bool,
    /// Whether they are a member of nothing else.
    is_all: bool,
}

/// `GET /settings/team/{person}/remove`: what removing a member means.
pub async fn remove_page(
    visit: Visit,
    Path(person): Path<PersonId>,
) -> Result<Html<String>, Error> {
    let project = visit.session.project.id;
    let is_self = visit.session.person_id() == Some(person);
    if !is_self && !visit.session.may_change() {
        return Err(Error::ViewerOnly);
    }
    let found = visit.host.store.read(move |tx| {
        let role = tx.member_role(project, person)?;
        role.ok_or(crate::store::Error::NotFound("member"))?;
        Ok((tx.person(person)?, tx.memberships(person)?.len()))
    });
    let (member, memberships) = found.await?;
    let title = if is_self {
        "Leave the project"
    } else {
        "Remove a member"
    };
    html(&RemovePage {
        frame: visit.settings_frame(title, Section::Team).await?,
        id: person,
        face: Face::from(&member),
        is_self,
        is_all: memberships == 1,
    })
}

/// `POST /settings/team/{person}/remove`. Everybody may leave.
pub async fn remove(
    visit: Visit,
    Path(person): Path<PersonId>,
    signed: Signed<Nothing>,
) -> Result<Response, Error> {
    let session = signed.session;
    let is_self = session.person_id() == Some(person);
    if !is_self && !session.may_change() {
        return Err(Error::ViewerOnly);
    }
    match members::remove(&visit.host, session.project.id, person).await {
        Ok(()) if is_self => Ok(sign_in::gone(&visit.host)),
        Ok(()) => Ok(see_other(TEAM)),
        Err(error @ members::Error::LastAdmin) => last_admin(&visit, error).await,
        Err(other) => Err(other.into()),
    }
}

/// `POST /settings/team/{person}/reset-link`: makes a link for a member who
/// forgot their password, and shows it.
pub async fn reset_link(
    visit: Visit,
    Path(person): Path<PersonId>,
    _: Posted<Nothing>,
) -> Result<Response, Error> {
    let (project, made_by) = (visit.session.project.id, visit.session.person_id());
    let link = members::reset_link(&visit.host, project, person, made_by).await?;
    let member = visit.host.store.read(move |tx| tx.person(person)).await?;
    let mut page = TeamPage::load(&visit).await?;
    page.made = Some(Made {
        link,
        title: format!("Send this link to {}", member.name),
        detail: "By it they choose a new password, once, within an hour. It is shown this once. \
                 Whoever has it can sign in as them, so send it to nobody else.",
    });
    Ok(html(&page)?.into_response())
}
