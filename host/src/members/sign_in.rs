//! Who somebody is, by their password.

use super::Error;
use crate::{
    host::Host,
    model::{KeyKind, PersonId, ProjectId, normalise},
    secrets::Secret,
    store::members::Person,
};

/// Whose an address and a password are. It takes as long, and says as much,
/// whether the address has an account or not.
///
/// # Errors
///
/// [`Error::Wrong`], [`Error::TooManyAttempts`].
pub async fn check_password(host: &Host, email: &str, password: &Secret) -> Result<Person, Error> {
    let key = normalise(KeyKind::Email, email).unwrap_or_default();
    if !host.members.attempts.take(&key, host.clock.now()) {
        return Err(Error::TooManyAttempts);
    }
    let sought = key.clone();
    let found = host.store.read(move |tx| {
        let person = tx.person_by_email(&sought)?;
        person
            .map(|person| Ok((tx.password(person.id)?, person)))
            .transpose()
    });
    let (kept, person) = found.await?.unzip();
    let is_theirs = host.members.passwords.verify(password, kept).await?;
    let person = person.filter(|_| is_theirs).ok_or(Error::Wrong)?;
    host.members.attempts.forget(&key);
    Ok(person)
}

/// The project that a person comes to when they sign in: where they were last,
/// else the first by name.
///
/// # Errors
///
/// [`Error::NoProject`].
pub async fn project_of(host: &Host, person: PersonId) -> Result<ProjectId, Error> {
    let found = host.store.read(move |tx| {
        Ok(match tx.last_project(person)? {
            Some(project) => Some(project),
            None => tx
                .memberships(person)?
                .first()
                .map(|first| first.project.id),
        })
    });
    found.await?.ok_or(Error::NoProject)
}

/// Replaces a person's password, which [`super::rules::password`] has passed.
/// All their sessions end but for one, and links to choose a new password are
/// void.
///
/// # Errors
///
/// [`Error::Wrong`] where `current` is not their password, and
/// [`Error::TooManyAttempts`].
pub async fn change_password(
    host: &Host,
    person: &Person,
    current: &Secret,
    new: &Secret,
    session: i64,
) -> Result<(), Error> {
    let checked = check_password(host, &person.email, current).await?;
    let hash = host.members.passwords.hash(new).await?;
    let changed = host.store.transact(move |tx| {
        tx.set_password(checked.id, &hash)?;
        tx.remove_reset(checked.id)?;
        tx.end_other_sessions_of(checked.id, session)
    });
    Ok(changed.await?)
}
