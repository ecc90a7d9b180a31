//! Invitations: a link by which somebody becomes a member of a project.

use std::time::Duration;

use url::Url;

use super::Error;
use crate::{
    host::Host,
    model::{PersonId, ProjectId},
    secrets::{Secret, hash_token, random_token},
    store::{
        members::{Email, Person},
        people_links::{Invitation, NewInvitation},
        projects::Role,
    },
};

/// How long an invitation can be accepted.
pub const INVITATION_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Invitations to one project that may wait at once.
pub const INVITATIONS_MAX: usize = 100;

/// Where invitations lead.
const PATH: &str = "/join";

/// Invites somebody to a project; an earlier invitation of theirs is void.
/// Returns the link, which is told this once.
///
/// # Errors
///
/// [`Error::MemberAlready`], [`Error::TooManyInvitations`].
pub async fn invite(
    host: &Host,
    project: ProjectId,
    email: Email,
    role: Role,
    made_by: Option<PersonId>,
) -> Result<Url, Error> {
    let (token, now) = (random_token(), host.clock.now());
    let new = NewInvitation {
        hash: hash_token(&token),
        project,
        email,
        role,
        made_by,
        expires_at: now.plus(INVITATION_LIFE),
    };
    let made = host.store.transact(move |tx| {
        if let Some(person) = tx.person_by_email(&new.email.key)?
            && tx.member_role(project, person.id)?.is_some()
        {
            return Ok(Err(Error::MemberAlready));
        }
        let waiting = tx.invitations(project, now)?;
        let others = waiting.iter().filter(|one| one.email.key != new.email.key);
        if others.count() >= INVITATIONS_MAX {
            return Ok(Err(Error::TooManyInvitations));
        }
        Ok(Ok(tx.create_invitation(&new, now)?))
    });
    made.await??;
    Ok(host.link(PATH, &token))
}

/// The invitation that a link is of, and who has its address, where somebody
/// has an account with it.
///
/// # Errors
///
/// [`Error::BadLink`].
pub async fn find_invitation(
    host: &Host,
    link: &Secret,
) -> Result<(Invitation, Option<Person>), Error> {
    let (hash, now) = (hash_token(link), host.clock.now());
    let found = host.store.read(move |tx| {
        let invitation = tx.invitation(hash, now)?;
        invitation
            .map(|invitation| {
                let person = tx.person_by_email(&invitation.email.key)?;
                Ok((invitation, person))
            })
            .transpose()
    });
    found.await?.ok_or(Error::BadLink)
}

/// Accepts an invitation as who has its address. Returns the project.
///
/// # Errors
///
/// [`Error::BadLink`], and [`Error::OthersLink`] where another is invited.
pub async fn join(host: &Host, link: &Secret, person: PersonId) -> Result<ProjectId, Error> {
    let (hash, now) = (hash_token(link), host.clock.now());
    let joined = host.store.transact(move |tx| {
        let Some(invitation) = tx.invitation(hash, now)? else {
            return Ok(Err(Error::BadLink));
        };
        let invited = tx.person_by_email(&invitation.email.key)?;
        if invited.is_none_or(|invited| invited.id != person) {
            return Ok(Err(Error::OthersLink));
        }
        let project = invitation.project.id;
        tx.remove_invitation(project, invitation.id)?;
        // Who became one meanwhile stays what they are.
        if tx.member_role(project, person)?.is_none() {
            tx.set_member(project, person, invitation.role, now)?;
        }
        Ok(Ok(project))
    });
    joined.await?
}

/// Accepts an invitation as somebody new, with a name and a password that
/// [`super::rules`] have passed. Returns who they are, and the project.
///
/// # Errors
///
/// [`Error::BadLink`], and [`crate::store::Error::Conflict`] where the address
/// got an account meanwhile.
pub async fn join_new(
    host: &Host,
    link: &Secret,
    name: String,
    password: &Secret,
) -> Result<(PersonId, ProjectId), Error> {
    // Looked at before a hash is made: that is work.
    find_invitation(host, link).await?;
    let password = host.members.passwords.hash(password).await?;
    let (hash, now) = (hash_token(link), host.clock.now());
    let joined = host.store.transact(move |tx| {
        let Some(invitation) = tx.invitation(hash, now)? else {
            return Ok(Err(Error::BadLink));
        };
        let project = invitation.project.id;
        let person = tx.create_person(&invitation.email, &name, &password, now)?;
        tx.remove_invitation(project, invitation.id)?;
        tx.set_member(project, person, invitation.role, now)?;
        Ok(Ok((person, project)))
    });
    joined.await?
}
