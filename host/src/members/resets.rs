//! Links by which somebody who forgot their password chooses a new one. One is
//! good as long as who made it may make one.

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
        people_links::Reset,
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
        let reset = Reset {
            person,
            project: Some(project),
            made_by,
        };
        Ok(Ok(tx.create_reset(reset, hash, expires_at)?))
    });
    made.await??;
    Ok(host.link(PATH, &token))
}

/// Whether a link may be made in a project for one of its members. Whoever holds
/// it becomes them, so who makes it has to be an admin of all their projects, of
/// this one too, and for an operator of the host one as well. A session of no person is
/// of its project alone. For themselves nobody may: they change it with the one they
/// have.
pub fn may_reset(
    tx: &Tx<'_>,
    project: ProjectId,
    person: PersonId,
    made_by: Option<PersonId>,
) -> Result<bool, store::Error> {
    if made_by == Some(person) || tx.member_role(project, person)?.is_none() {
        return Ok(false);
    }
    // Else an admin of their projects would come to operate the host.
    let is_operators = match made_by {
        Some(admin) => tx.is_operator(admin)?,
        None => false,
    };
    if tx.is_operator(person)? && !is_operators {
        return Ok(false);
    }
    for membership in tx.memberships(person)? {
        let of = membership.project.id;
        let may = match made_by {
            Some(admin) => tx.member_role(of, admin)? == Some(Role::Admin),
            None => of == project,
        };
        if !may {
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
            let reset = Reset {
                person: person.id,
                project: None,
                made_by: None,
            };
            tx.create_reset(reset, hash, expires_at)
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
    let found = host.store.read(move |tx| good_reset(tx, hash, now));
    found.await?.ok_or(Error::BadLink)
}

/// Who may choose a new password by the link with that hash; none where it is not
/// good: memberships may have changed since it was made.
fn good_reset(tx: &Tx<'_>, hash: [u8; 32], now: Timestamp) -> Result<Option<Person>, store::Error> {
    let Some(reset) = tx.reset(hash, now)? else {
        return Ok(None);
    };
    if let Some(project) = reset.project
        && !may_reset(tx, project, reset.person, reset.made_by)?
    {
        return Ok(None);
    }
    tx.person(reset.person).map(Some)
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
        let Some(person) = good_reset(tx, hash, now)? else {
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
