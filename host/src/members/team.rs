//! The members of a project: what they may do, and that they go.

use super::Error;
use crate::{
    host::Host,
    model::{PersonId, ProjectId},
    store::{self, Tx, projects::Role},
};

/// Changes what a member may do, from this moment on.
///
/// # Errors
///
/// [`Error::LastAdmin`], and [`store::Error::NotFound`] where they are no
/// member.
pub async fn change_role(
    host: &Host,
    project: ProjectId,
    person: PersonId,
    role: Role,
) -> Result<(), Error> {
    let now = host.clock.now();
    let changed = host.store.transact(move |tx| {
        if is_last_admin(tx, project, person)? && role != Role::Admin {
            return Ok(Err(Error::LastAdmin));
        }
        Ok(Ok(tx.set_member(project, person, role, now)?))
    });
    changed.await?
}

/// Ends a membership, and with it their sessions of the project.
///
/// # Errors
///
/// [`Error::LastAdmin`], and [`store::Error::NotFound`] where they are no
/// member.
pub async fn remove(host: &Host, project: ProjectId, person: PersonId) -> Result<(), Error> {
    let removed = host.store.transact(move |tx| {
        if is_last_admin(tx, project, person)? {
            return Ok(Err(Error::LastAdmin));
        }
        Ok(Ok(tx.remove_member(project, person)?))
    });
    removed.await??;
    // Live pages of theirs look whether they may go on.
    host.pipeline.notify_changed();
    Ok(())
}

/// Whether a member is the project's only admin.
fn is_last_admin(tx: &Tx<'_>, project: ProjectId, person: PersonId) -> Result<bool, store::Error> {
    let role = tx.member_role(project, person)?;
    let role = role.ok_or(store::Error::NotFound("member"))?;
    let is_other_admin =
        |member: &store::members::Member| member.role == Role::Admin && member.person.id != person;
    Ok(role == Role::Admin && !tx.members(project)?.iter().any(is_other_admin))
}
