//! Links by which somebody who forgot their password chooses a new one.

use std::time::Duration;

use url::Url;

use super::Error;
use crate::{
    host::{self, Host},
    model::{PersonId, ProjectId, Timestamp},
    secrets::{Secret, hash_token, random_token},
    store::{
        self, Store, Tx,
        members::{Email, Person},
        projects::Role,
    },
};

/// How long such a link is good.
pub const RESET_LIFE: Duration = Duration::from_secs(3_600);

/// Where it leads.
const PATH: &str = "/reset-password";

/// Makes such a link for a member of a project; an earlier one is void.
///
/// # Errors
///
/// [`Error::ElsewhereToo`] where [`may_reset`] says no, and
/// [`store::Error::NotFound`] where they are no member.
pub async fn reset_link(
    host: &Host,
    project: ProjectId,
    person: PersonId,
    made_by: Option<PersonId>,
) -> Result<Url, Error> {
    let token = random_token();
    let (hash, expires_at) = (hash_token(&token), host.clock.now().plus(RESET_LIFE));
    let made = host.store.transact(move |tx| {
        let role = tx.member_role(project, person)?;
        role.ok_or(store::Error::NotFound("member"))?;
        if !may_reset(tx, project, person, made_by)? {
            return Ok(Err(Error::ElsewhereToo));
        }
        Ok(Ok(tx.create_reset(person, hash, expires_at)?))
    });
    made.await??;
    Ok(host.link(PATH, &token))
}

/// Whether an admin of a project may make such a link for one of its members.
/// Whoever holds it becomes them, so in all their projects the admin has to be
/// one. A session of no person is of its project alone. For themselves nobody
/// may: they change it with the one they have.
pub fn may_reset(
    tx: &Tx<'_>,
    project: ProjectId,
    person: PersonId,
    made_by: Option<PersonId>,
) -> Result<bool, store::Error> {
    if made_by == Some(person) {
        return Ok(false);
    }
    for membership in tx.memberships(person)? {
        let other = membership.project.id;
        let role = made_by.map(|admin| tx.member_role(other, admin));
        let is_admin = role.transpose()?.flatten() == Some(Role::Admin);
        if other != project && !is_admin {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes such a link for whoever has an address: an operator's way.
///
/// # Errors
///
/// [`store::Error::NotFound`] where nobody has it.
pub async fn operators_reset_link(
    store: &Store,
    public_url: &Url,
    email: Email,
    now: Timestamp,
) -> Result<Url, store::Error> {
    let token = random_token();
    let (hash, expires_at) = (hash_token(&token), now.plus(RESET_LIFE));
    store
        .transact(move |tx| {
            let person = tx.person_by_email(&email.key)?;
            let person = person.ok_or(store::Error::NotFound("member"))?;
            tx.create_reset(person.id, hash, expires_at)
        })
        .await?;
    Ok(host::link_below(public_url, PATH, &token))
}

/// Who may choose a new password by a link.
///
/// # Errors
///
/// [`Error::BadLink`].
pub async fn find_reset(host: &Host, link: &Secret) -> Result<Person, Error> {
    let (hash, now) = (hash_token(link), host.clock.now());
    let found = host.store.read(move |tx| tx.reset(hash, now));
    found.await?.ok_or(Error::BadLink)
}

/// Uses a link: replaces the password by one that [`super::rules::password`]
/// has passed. All their sessions end. Returns who they are.
///
/// # Errors
///
/// [`Error::BadLink`].
pub async fn reset_password(host: &Host, link: &Secret, new: &Secret) -> Result<Person, Error> {
    // Looked at before a hash is made: that is work.
    find_reset(host, link).await?;
    let password = host.members.passwords.hash(new).await?;
    let (hash, now) = (hash_token(link), host.clock.now());
    let reset = host.store.transact(move |tx| {
        let Some(person) = tx.reset(hash, now)? else {
            return Ok(Err(Error::BadLink));
        };
        tx.remove_reset(person.id)?;
        tx.set_password(person.id, &password)?;
        tx.end_sessions_of(person.id)?;
        Ok(Ok(person))
    });
    let person = reset.await??;
    host.pipeline.notify_changed();
    if let Ok(email) = super::rules::email(&person.email) {
        host.members.attempts.forget(&email.key);
    }
    Ok(person)
}
