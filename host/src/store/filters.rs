//! Filters as SQL: a condition on a row of `users`, with its parameters.

use std::ops::Bound;

use rusqlite::types::Value as Column;

use super::{Error, Tx, encode};
use crate::model::{
    ProjectId, VariableType,
    condition::{Attribute, Filter, Key, Keys},
};

/// A filter as a condition on `u`, a row of `users`; never NULL.
pub(super) struct Sql<'t, 'c> {
    tx: &'t Tx<'c>,
    /// The condition.
    pub(super) text: String,
    /// What is bound to it, by number.
    pub(super) parameters: Vec<Column>,
    /// Whether one leaf is all of it: then SQLite may begin with whom it names.
    is_alone: bool,
}

impl<'t, 'c> Sql<'t, 'c> {
    /// Begins; the first parameter is the project.
    pub(super) fn new(tx: &'t Tx<'c>, project: ProjectId) -> Self {
        Self {
            tx,
            text: String::new(),
            parameters: vec![Column::Integer(project.0)],
            is_alone: false,
        }
    }

    /// Binds a value; what it is called in the text.
    pub(super) fn parameter(&mut self, value: Column) -> String {
        self.parameters.push(value);
        format!("?{}", self.parameters.len())
    }

    /// All of a filter.
    pub(super) fn filter(&mut self, filter: &Filter) -> Result<(), Error> {
        self.is_alone = matches!(filter, Filter::Has(..));
        self.part(filter)
    }

    fn part(&mut self, filter: &Filter) -> Result<(), Error> {
        match filter {
            Filter::All(parts) => self.joined(parts, " AND ", "1"),
            Filter::Any(parts) => self.joined(parts, " OR ", "0"),
            Filter::Not(part) => {
                self.text.push_str("NOT (");
                self.part(part)?;
                self.text.push(')');
                Ok(())
            }
            Filter::Has(attribute, keys) => self.has(*attribute, keys),
        }
    }

    fn joined(&mut self, parts: &[Filter], between: &str, none: &str) -> Result<(), Error> {
        if parts.is_empty() {
            self.text.push_str(none);
            return Ok(());
        }
        self.text.push('(');
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.text.push_str(between);
            }
            self.part(part)?;
        }
        self.text.push(')');
        Ok(())
    }

    fn has(&mut self, attribute: Attribute, keys: &Keys) -> Result<(), Error> {
        let native = match attribute {
            Attribute::Email => "folded(u.email)",
            Attribute::Name => "folded(u.name)",
            Attribute::ExternalId => "folded(u.external_id)",
            Attribute::CreatedAt => "u.created_at",
            Attribute::Variable(variable) => {
                let id = self.parameter(Column::Integer(variable.0));
                let values = self.tx.shown_values_of(variable)?;
                // Nobody is found by having any value: that is most users.
                if matches!(keys, Keys::All) {
                    self.text.push_str(&format!(
                        "EXISTS (SELECT 1 FROM {values} v WHERE v.user = u.id AND v.variable = {id})"
                    ));
                    return Ok(());
                }
                if self.tx.finds_by(variable)? {
                    let keys = self.keys("s.key", keys);
                    // Of several sets SQLite would make loops in one another.
                    let user = if self.is_alone { "u.id" } else { "+u.id" };
                    self.text.push_str(&format!(
                        "{user} IN (SELECT s.user FROM sought_values s WHERE s.variable = {id} AND {keys})"
                    ));
                    return Ok(());
                }
                let variable = self.tx.variable_type(variable)?;
                let (items, key) = match variable {
                    VariableType::Text => ("", "folded(v.value)"),
                    VariableType::List => (" CROSS JOIN json_each(v.value) j", "folded(j.value)"),
                    VariableType::Number
                    | VariableType::Boolean
                    | VariableType::Date
                    | VariableType::Datetime => ("", "v.value"),
                };
                let keys = self.keys(key, keys);
                self.text.push_str(&format!(
                    "EXISTS (SELECT 1 FROM {values} v{items} WHERE v.user = u.id AND v.variable = {id} AND {keys})"
                ));
                return Ok(());
            }
        };
        let keys = self.keys(native, keys);
        self.text
            .push_str(&format!("({native} IS NOT NULL AND {keys})"));
        Ok(())
    }

    /// Whether `key` is among keys.
    pub(super) fn keys(&mut self, key: &str, keys: &Keys) -> String {
        match keys {
            Keys::All => "1".to_owned(),
            Keys::Texts(texts) => {
                let texts = serde_json::Value::from(texts.clone()).to_string();
                let texts = self.parameter(Column::Text(texts));
                format!("{key} IN (SELECT value FROM json_each({texts}))")
            }
            Keys::Between(Bound::Included(from), Bound::Included(to)) if from == to => {
                let only = self.parameter(encode::key(from));
                format!("{key} = {only}")
            }
            Keys::Between(from, to) => {
                let from = self.bound(key, from, [">=", ">"]);
                let to = self.bound(key, to, ["<=", "<"]);
                let bounds: Vec<String> = from.into_iter().chain(to).collect();
                match bounds.is_empty() {
                    true => "1".to_owned(),
                    false => bounds.join(" AND "),
                }
            }
            Keys::Containing(part) => {
                let part = self.parameter(Column::Text(part.clone()));
                format!("instr({key}, {part}) > 0")
            }
            Keys::EndingWith(end) => {
                let length = i64::try_from(end.chars().count()).unwrap_or(i64::MAX);
                let length = self.parameter(Column::Integer(-length));
                let end = self.parameter(Column::Text(end.clone()));
                format!("substr({key}, {length}) = {end}")
            }
        }
    }

    fn bound(
        &mut self,
        key: &str,
        bound: &Bound<Key>,
        [with, without]: [&str; 2],
    ) -> Option<String> {
        let (operator, edge) = match bound {
            Bound::Included(edge) => (with, edge),
            Bound::Excluded(edge) => (without, edge),
            Bound::Unbounded => return None,
        };
        let edge = self.parameter(encode::key(edge));
        Some(format!("{key} {operator} {edge}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            Timestamp,
            condition::{Condition, Rule, Test, TextTest},
        },
        store::{Store, segments::NewSegment},
    };

    /// A statement begins with the users, and finds each one's value by its key;
    /// or with those whom a value names. The other way round would be slow only
    /// where there are many.
    #[tokio::test]
    async fn each_statement_begins_with_the_users_or_with_whom_a_value_names() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        let store = Store::open(&directory).expect("opens");
        let plans = store.transact(|tx| {
            let now = Timestamp(0);
            let project = tx.create_project("A project", "UTC", now)?.id;
            let variable = tx.create_variable(project, "plan", None, VariableType::Text, now)?;
            let test = Test::Text(TextTest::Is("pro".into()));
            let attribute = Attribute::Variable(variable);
            let rule = Condition::Rule(Rule { attribute, test });
            let plan = |condition: &Condition| {
                let mut sql = Sql::new(tx, project);
                sql.filter(tx.audience(project, condition, now)?.filter())?;
                Ok::<_, Error>(super::super::query_plan(&format!(
                    "SELECT u.id, u.email FROM users u WHERE u.project = ?1 AND u.id > 9 AND {}
                     ORDER BY u.id LIMIT 50",
                    sql.text
                )))
            };
            let before = plan(&rule)?;
            let wanted = NewSegment {
                name: "Pro".into(),
                description: None,
                condition: rule.clone(),
            };
            let saved = tx.save_segment(project, None, &wanted, now)?;
            saved.expect("a segment");
            let both = Condition::All(vec![rule.clone(), rule.clone()]);
            Ok((before, plan(&rule)?, plan(&both)?))
        });
        let (looked_at, found, both) = plans.await.expect("plans");
        drop(store);
        std::fs::remove_dir_all(&directory).expect("removed");
        assert!(looked_at[0].starts_with("SEARCH u "), "{looked_at:?}");
        let key = "PRIMARY KEY (user=? AND variable=?)";
        assert!(looked_at[1].ends_with(key), "{looked_at:?}");
        let key = "PRIMARY KEY (variable=? AND key=?)";
        assert!(found.iter().any(|step| step.ends_with(key)), "{found:?}");
        // Of two sets none is gone through for each of the other.
        assert!(both[0].ends_with("(project=? AND id>?)"), "{both:?}");
        let sorts = |steps: &[String]| steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(
            !sorts(&looked_at) && !sorts(&found),
            "{looked_at:?} {found:?}"
        );
    }
}
