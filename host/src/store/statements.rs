//! Statements that a transaction has at hand.
//!
//! A batch runs the same few statements tens of thousands of times. To find one
//! in the connection's cache costs the hash of its text and a place in a list,
//! an eighth of what an import takes; here it is known by where its text is.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use rusqlite::{CachedStatement, Connection, Statement};

/// The statements that a transaction has used.
#[derive(Default)]
pub(super) struct Statements<'c> {
    at_hand: RefCell<Vec<(&'static str, CachedStatement<'c>)>>,
}

/// A statement in use; nobody else's until it is dropped.
pub(super) struct InUse<'s, 'c> {
    statements: &'s Statements<'c>,
    sql: &'static str,
    /// None only while it is dropped.
    statement: Option<CachedStatement<'c>>,
}

impl<'c> Statements<'c> {
    /// The statement of a text.
    pub(super) fn get(
        &self,
        connection: &'c Connection,
        sql: &'static str,
    ) -> rusqlite::Result<InUse<'_, 'c>> {
        let mut at_hand = self.at_hand.borrow_mut();
        // Two texts at one place are the same text.
        let known = at_hand
            .iter()
            .position(|(text, _)| std::ptr::eq(*text, sql));
        let statement = match known {
            Some(index) => at_hand.swap_remove(index).1,
            None => connection.prepare_cached(sql)?,
        };
        Ok(InUse {
            statements: self,
            sql,
            statement: Some(statement),
        })
    }
}

impl<'c> Deref for InUse<'_, 'c> {
    type Target = Statement<'c>;

    #[expect(clippy::expect_used, reason = "it is taken out by the drop alone")]
    fn deref(&self) -> &Statement<'c> {
        self.statement.as_ref().expect("a statement in use")
    }
}

impl<'c> DerefMut for InUse<'_, 'c> {
    #[expect(clippy::expect_used, reason = "it is taken out by the drop alone")]
    fn deref_mut(&mut self) -> &mut Statement<'c> {
        self.statement.as_mut().expect("a statement in use")
    }
}

impl Drop for InUse<'_, '_> {
    fn drop(&mut self) {
        if let Some(statement) = self.statement.take() {
            let mut at_hand = self.statements.at_hand.borrow_mut();
            at_hand.push((self.sql, statement));
        }
    }
}
