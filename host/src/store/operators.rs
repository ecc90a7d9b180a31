//! People who operate the host: its plugin versions, and what was set aside. It has
//! nothing to do with what they may do in a project.

use rusqlite::params;

use super::{
    Error, Tx,
    members::{Person, read_person},
    timestamp,
};
use crate::model::{PersonId, Timestamp};

/// Somebody who operates the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Who.
    pub person: Person,
    /// Since when.
    pub granted_at: Timestamp,
}

impl Tx<'_> {
    /// Makes a person an operator. One who is stays it.
    pub fn grant_operator(&self, person: PersonId, now: Timestamp) -> Result<(), Error> {
        self.connection.execute(
            "INSERT INTO operators (person, granted_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![person.0, now.0],
        )?;
        Ok(())
    }

    /// Makes a person an operator no more. Returns whether they were one.
    pub fn revoke_operator(&self, person: PersonId) -> Result<bool, Error> {
        let sql = "DELETE FROM operators WHERE person = ?1";
        Ok(self.connection.execute(sql, [person.0])? > 0)
    }

    /// Whether a person is an operator.
    pub fn is_operator(&self, person: PersonId) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT EXISTS (SELECT 1 FROM operators WHERE person = ?1)")?
            .query_one([person.0], |row| row.get(0))?)
    }

    /// Who is an operator, by when they became one.
    pub fn operators(&self) -> Result<Vec<Operator>, Error> {
        let mut statement = self.statement(
            "SELECT p.id, p.email, p.name, o.granted_at
             FROM operators o JOIN people p ON p.id = o.person ORDER BY o.granted_at, p.id",
        )?;
        let operators = statement.query_map([], |row| {
            Ok(Operator {
                person: read_person(row, 0)?,
                granted_at: timestamp(row, 3)?,
            })
        })?;
        Ok(operators.collect::<Result<_, _>>()?)
    }
}
