//! The first member: whoever follows the link that the host tells in its log.

use std::time::Duration;

use url::Url;

use super::Error;
use crate::{
    host::Host,
    model::{PersonId, ProjectId},
    secrets::{Secret, hash_token, random_token},
    store::{members::Email, projects::Role},
};

/// How long that link is good. A start makes another one.
pub const OWNER_LINK_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// Where it leads.
const PATH: &str = "/welcome";

/// Makes the link, where nobody is a member of anything yet; an earlier one is
/// void.
///
/// # Errors
///
/// The store's.
pub async fn make_owner_link(host: &Host) -> Result<Option<Url>, Error> {
    let token = random_token();
    let (hash, expires_at) = (hash_token(&token), host.clock.now().plus(OWNER_LINK_LIFE));
    let made = host.store.transact(move |tx| {
        let is_first = !tx.has_people()?;
        if is_first {
            tx.set_owner_link(hash, expires_at)?;
        }
        Ok(is_first)
    });
    Ok(made.await?.then(|| host.link(PATH, &token)))
}

/// Whether a link is the owner's, and good.
///
/// # Errors
///
/// The store's.
pub async fn is_owner_link(host: &Host, link: &Secret) -> Result<bool, Error> {
    let (hash, now) = (hash_token(link), host.clock.now());
    let is_one = host.store.read(move |tx| tx.is_owner_link(hash, now));
    Ok(is_one.await?)
}

/// Who begins, and with what project.
#[derive(Clone, Debug)]
pub struct NewOwner {
    /// What the project is called.
    pub project: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: Email,
}

/// Uses the link: makes the project, and its first admin with a password that
/// [`super::rules`] have passed. They operate the host, too.
///
/// # Errors
///
/// [`Error::BadLink`].
pub async fn begin(
    host: &Host,
    link: &Secret,
    new: NewOwner,
    password: &Secret,
) -> Result<(PersonId, ProjectId), Error> {
    if !is_owner_link(host, link).await? {
        return Err(Error::BadLink);
    }
    let password = host.members.passwords.hash(password).await?;
    let (hash, now) = (hash_token(link), host.clock.now());
    let begun = host.store.transact(move |tx| {
        if !tx.is_owner_link(hash, now)? || tx.has_people()? {
            return Ok(Err(Error::BadLink));
        }
        tx.remove_owner_link()?;
        let project = tx.create_project(&new.project, &new.time_zone, now)?.id;
        let person = tx.create_person(&new.email, &new.name, &password, now)?;
        tx.set_member(project, person, Role::Admin, now)?;
        tx.grant_operator(person, now)?;
        Ok(Ok((person, project)))
    });
    begun.await?
}
