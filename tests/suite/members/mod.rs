//! People who sign in: how they come in, what they may do, and that they go.

mod arriving;
mod drafts;
mod forms;
pub mod people;
mod sessions;
mod signing_in;
mod team;
mod tokens;
