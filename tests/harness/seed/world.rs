//! What a data directory is filled with: so many users, split over so many
//! connections.

use std::ops::Range;

/// The account of the first connection; the others' follow it.
const FIRST_PORTAL: u64 = 48_975_575;

/// The contact of the first user; the others' follow it.
const FIRST_CONTACT: u64 = 50_000_000_000;

/// The company that reaches many users, where there is one.
pub const COMPANY: u64 = 9_000_000_001;

/// The property of the company that is mapped.
pub const COMPANY_PROPERTY: &str = "company_property";

/// Users, connections and mappings. Each connection has an account, a project
/// and an equal part of the users, each of whom one contact feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// All users.
    pub users: u64,
    /// Mapped properties of contacts.
    pub fields: u64,
    /// Connections.
    pub connections: u64,
    /// The first so many users are reached by a company of the first
    /// connection, too.
    pub company_users: u64,
}

impl World {
    /// One connection, and no company.
    pub fn of(users: u64, fields: u64) -> Self {
        Self {
            users,
            fields,
            connections: 1,
            company_users: 0,
        }
    }

    /// The values that its users have from contacts.
    pub fn values(&self) -> u64 {
        self.users * self.fields
    }

    /// The users of a connection.
    pub fn users_of(&self, connection: u64) -> Range<u64> {
        let from = |connection: u64| self.users * connection / self.connections;
        from(connection)..from(connection + 1)
    }

    /// The account of a connection.
    pub fn portal(connection: u64) -> u64 {
        FIRST_PORTAL + connection
    }

    /// The contact that feeds a user.
    pub fn contact(user: u64) -> u64 {
        FIRST_CONTACT + user
    }

    /// The name of a mapped property of contacts.
    pub fn property(field: u64) -> String {
        format!("property_{field}")
    }

    /// The store's number of a user. Seeding checks it.
    pub fn user_id(user: u64) -> i64 {
        number(user) + 1
    }

    /// The store's number of the variable that a field feeds. Seeding checks it.
    pub fn variable_id(&self, connection: u64, field: u64) -> i64 {
        number(connection * self.fields + field) + 1 + i64::from(self.company_users > 0)
    }

    /// The store's number of the variable that the company feeds.
    pub fn company_variable_id(&self) -> i64 {
        1
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}
