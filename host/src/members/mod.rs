//! People who sign in: their passwords, their projects, and the links by which
//! they come in.
//!
//! Architecture invariants:
//! - A password is kept as Argon2id's hash alone, a link by its token's hash.
//! - Nobody is told whether an address has an account but who holds its
//!   password, or a link that was made for it.
//! - A project that has members has an admin among them.

mod attempts;
mod invitations;
mod owner;
mod passwords;
mod resets;
pub mod rules;
mod sign_in;
mod team;

pub use invitations::{INVITATION_LIFE, INVITATIONS_MAX, find_invitation, invite, join, join_new};
pub use owner::{NewOwner, OWNER_LINK_LIFE, begin, is_owner_link, make_owner_link};
pub use resets::{
    RESET_LIFE, find_reset, may_reset, operators_reset_link, reset_link, reset_password,
};
pub use sign_in::{change_password, check_password, project_of};
pub use team::{change_role, remove};

use crate::store;
use attempts::Attempts;
use passwords::Passwords;

/// What a host keeps of members beside the store.
#[derive(Default)]
pub struct Members {
    passwords: Passwords,
    attempts: Attempts,
}

/// Why something about members was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address has no account, or another password.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    /// The address, or all addresses together, were tried too often lately.
    #[error("there were too many attempts to sign in")]
    TooManyAttempts,
    /// The person is a member of no project.
    #[error("this person is a member of no project")]
    NoProject,
    /// The link was used, is over, or was never made.
    #[error("this link is not good any more")]
    BadLink,
    /// The link is for somebody else than who uses it.
    #[error("this link is for another person")]
    OthersLink,
    /// They are a member of the project already.
    #[error("they are a member already")]
    MemberAlready,
    /// As many invitations wait as may.
    #[error("too many invitations are waiting")]
    TooManyInvitations,
    /// The project's only admin would be one no more.
    #[error("the project would have no admin")]
    LastAdmin,
    /// They are a member of a project of which who asks is no admin.
    #[error("they are a member of other projects too")]
    ElsewhereToo,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A password could not be hashed, or a kept hash not be read; a defect.
    #[error("a password's hash could not be made or read")]
    Hash,
}
