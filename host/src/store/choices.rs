//! The choices of properties, which belong to the account, and when they are to
//! be read anew.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode, timestamp};
use crate::model::{AccountId, Choice, ObjectType, OptionTable, PropertyName, Shown, Timestamp};

/// A read of an account's choices that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueLabels {
    /// The account.
    pub account: AccountId,
    /// The number of the newest request for it.
    pub requested: i64,
    /// How many reads in a row before it found nothing new, or failed.
    pub in_vain: u32,
}

/// Fields that depend on what the choices of a property mean.
enum Dependent {
    /// Those that show labels.
    Labels,
    /// Those that a selection depends on.
    Selection,
}

impl Tx<'_> {
    /// Forgets the choices of an account's properties, and that any are to be
    /// read: no connection uses it any more.
    pub fn drop_options(&self, account: AccountId) -> Result<(), Error> {
        for sql in [
            "DELETE FROM option_tables WHERE account = ?1",
            "DELETE FROM label_reads WHERE account = ?1",
        ] {
            self.execute_by_id(sql, account.0)?;
        }
        Ok(())
    }

    /// Keeps the choices of a property, as a read that began at `read_at` gave
    /// them, unless a later one was here before. What shows labels that changed
    /// is converted again, and what is selected by choices that became closed
    /// or open is selected anew. Returns whether anything changed.
    pub fn save_options(
        &self,
        account: AccountId,
        object_type: &ObjectType,
        property: &PropertyName,
        table: &OptionTable,
        read_at: Timestamp,
    ) -> Result<bool, Error> {
        let object_type_id = self.object_type_id(object_type)?;
        let held = self
            .statement(
                "SELECT choices, read_at FROM option_tables
                 WHERE account = ?1 AND object_type = ?2 AND property = ?3",
            )?
            .query_row(
                params![account.0, object_type_id, property.as_str()],
                |row| Ok((row.get::<_, String>(0)?, timestamp(row, 1)?)),
            )
            .optional()?;
        if held.as_ref().is_some_and(|(_, at)| *at > read_at) {
            return Ok(false);
        }
        self.statement(
            "INSERT OR REPLACE INTO option_tables (account, object_type, property, choices, read_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            account.0,
            object_type_id,
            property.as_str(),
            encode::json(table)?,
            read_at.0
        ])?;
        let before = match held {
            Some((choices, _)) => encode::read_json(&choices)?,
            None => OptionTable::default(),
        };
        if before == *table {
            return Ok(false);
        }
        let label = |choice: &Choice| (choice.value.clone(), choice.label.clone());
        if !before
            .choices
            .iter()
            .map(label)
            .eq(table.choices.iter().map(label))
        {
            self.convert_again(account, object_type_id, property, &Dependent::Labels)?;
        }
        if !before.closed().eq(table.closed()) {
            self.convert_again(account, object_type_id, property, &Dependent::Selection)?;
        }
        self.configuration_changed(account)?;
        Ok(true)
    }

    /// What all connections of the account hold of a property is gone through
    /// again from the start.
    fn convert_again(
        &self,
        account: AccountId,
        object_type: i64,
        property: &PropertyName,
        dependent: &Dependent,
    ) -> Result<(), Error> {
        let depends = match dependent {
            Dependent::Labels => format!("f.show = '{}'", encode::word(&Shown::Label)),
            Dependent::Selection => "f.variable IS NULL".to_owned(),
        };
        self.connection.execute(
            &format!(
                "INSERT OR REPLACE INTO conversions (field)
                 SELECT f.id FROM connections c
                 JOIN object_mappings m ON m.connection = c.id
                 JOIN fields f ON f.mapping = m.id
                 WHERE c.account = ?1 AND m.object_type = ?2 AND f.property = ?3 AND {depends}"
            ),
            params![account.0, object_type, property.as_str()],
        )?;
        Ok(())
    }

    /// The choices of a property, where they are known.
    pub fn options(
        &self,
        account: AccountId,
        object_type: &ObjectType,
        property: &PropertyName,
    ) -> Result<Option<OptionTable>, Error> {
        let stored: Option<String> = self
            .statement(
                "SELECT o.choices FROM option_tables o JOIN object_types t ON t.id = o.object_type
                 WHERE o.account = ?1 AND t.name = ?2 AND o.property = ?3",
            )?
            .query_row(
                params![account.0, object_type.as_str(), property.as_str()],
                |row| row.get(0),
            )
            .optional()?;
        stored.map(|stored| encode::read_json(&stored)).transpose()
    }

    /// Asks that an account's choices are read anew. What waits already is the
    /// same request, moved on in number: a read under way does not answer it.
    pub fn request_labels(&self, account: AccountId) -> Result<(), Error> {
        let requested = self.next_sequence()?;
        self.statement(
            "INSERT INTO label_reads (account, requested) VALUES (?1, ?2)
             ON CONFLICT (account) DO UPDATE SET requested = excluded.requested",
        )?
        .execute(params![account.0, requested])?;
        Ok(())
    }

    /// Reads of choices that wait, with when each is due, the first one first.
    pub fn waiting_labels(&self) -> Result<Vec<(Timestamp, DueLabels)>, Error> {
        let mut statement = self.statement(
            "SELECT not_before, account, requested, in_vain FROM label_reads
             WHERE requested IS NOT NULL ORDER BY not_before, account",
        )?;
        let rows = statement.query_map([], |row| {
            let due = DueLabels {
                account: AccountId(row.get(1)?),
                requested: row.get(2)?,
                in_vain: row.get(3)?,
            };
            Ok((timestamp(row, 0)?, due))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A read of choices is over: unless it was asked for again meanwhile none
    /// waits, and the next is not made before a moment.
    pub fn finish_labels(
        &self,
        done: &DueLabels,
        in_vain: u32,
        not_before: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "UPDATE label_reads SET requested = nullif(requested, ?2), in_vain = ?3, not_before = ?4
             WHERE account = ?1",
        )?
        .execute(params![
            done.account.0,
            done.requested,
            in_vain,
            not_before.0
        ])?;
        Ok(())
    }

    /// A read of choices failed, and is made again at a moment.
    pub fn put_off_labels(
        &self,
        due: &DueLabels,
        in_vain: u32,
        until: Timestamp,
    ) -> Result<(), Error> {
        self.statement("UPDATE label_reads SET in_vain = ?2, not_before = ?3 WHERE account = ?1")?
            .execute(params![due.account.0, in_vain, until.0])?;
        Ok(())
    }
}
