//! Asking which users pass a condition: one statement for all users of a
//! project, and the same filter over the values of one.
//!
//! Of a variable that a segment names, users are found by its values
//! ([`super::sought`]); of any other, each user's value is looked at, which
//! takes some tens of milliseconds for a hundred thousand users.

use std::{collections::HashMap, ops::Bound};

use rusqlite::{
    Connection,
    functions::FunctionFlags,
    params_from_iter,
    types::{Value as Column, ValueRef},
};

use super::{
    Error, Tx, encode,
    segments::Segments,
    users::{User, UserFilter, like_pattern, read_user},
};
use crate::model::{
    KeyKind, ProjectId, SegmentId, Timestamp, UserId, VariableId, VariableType,
    condition::{Attribute, Condition, Filter, Key, Keys, Today, keys_of},
    fold, normalise,
};

/// Gives a connection the function that conditions compare texts by.
pub(super) fn functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("folded", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Text(text) => Some(fold(&String::from_utf8_lossy(text))),
            _ => None,
        })
    })
}

/// The users of a project who pass conditions, as one statement asks for them.
pub struct Audience {
    filter: Filter,
    project: ProjectId,
}

impl Tx<'_> {
    /// What a condition asks of the project's users now.
    pub fn audience(
        &self,
        project: ProjectId,
        condition: &Condition,
        now: Timestamp,
    ) -> Result<Audience, Error> {
        let segments = self.segment_conditions(project)?;
        let today = self.today(project, now)?;
        let filter = Filters::new(&segments, &today).of(condition)?;
        Ok(Audience { filter, project })
    }

    fn today(&self, project: ProjectId, now: Timestamp) -> Result<Today, Error> {
        Ok(Today::new(now, &self.project(project)?.time_zone))
    }

    /// The number of users in each of the project's segments.
    pub fn segment_counts(
        &self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<HashMap<SegmentId, i64>, Error> {
        let segments = self.segment_conditions(project)?;
        let today = self.today(project, now)?;
        let mut filters = Filters::new(&segments, &today);
        let mut counts = HashMap::new();
        for id in segments.ids() {
            let filter = filters.of_segment(id)?;
            let count = self.audience_count(&Audience { filter, project })?;
            counts.insert(id, count);
        }
        Ok(counts)
    }

    /// How many users pass.
    pub fn audience_count(&self, audience: &Audience) -> Result<i64, Error> {
        // Those who do not pass are often fewer, and found by what they have.
        if let Filter::Not(others) = &audience.filter {
            let all = self.user_count(audience.project)?;
            return Ok(all - self.count_passing(audience.project, others)?);
        }
        self.count_passing(audience.project, &audience.filter)
    }

    fn count_passing(&self, project: ProjectId, filter: &Filter) -> Result<i64, Error> {
        let mut sql = Sql::new(self, project);
        sql.filter(filter)?;
        let text = format!(
            "SELECT count(*) FROM users u WHERE u.project = ?1 AND {}",
            sql.text
        );
        let mut statement = self.connection.prepare_cached(&text)?;
        Ok(statement.query_one(params_from_iter(sql.parameters), |row| row.get(0))?)
    }

    /// Users who pass, and whom all of `filter` names, in the order of their
    /// ids, after `after`.
    pub fn audience_users(
        &self,
        audience: &Audience,
        filter: &UserFilter,
        after: UserId,
        limit: usize,
    ) -> Result<Vec<User>, Error> {
        let mut sql = Sql::new(self, audience.project);
        sql.filter(&audience.filter)?;
        let mut condition = std::mem::take(&mut sql.text);
        if let Some(email) = &filter.email {
            let Some(key) = normalise(KeyKind::Email, email) else {
                return Ok(Vec::new());
            };
            let key = sql.parameter(Column::Text(key));
            condition.push_str(&format!(
                " AND u.id IN (SELECT k.user FROM user_keys k WHERE k.project = ?1
                   AND k.identifier = 0 AND k.kind = 1 AND k.key = {key})"
            ));
        }
        if let Some(external_id) = &filter.external_id {
            let external_id = sql.parameter(Column::Text(external_id.trim().to_owned()));
            condition.push_str(&format!(" AND u.external_id = {external_id}"));
        }
        if let Some(text) = &filter.text {
            let pattern = sql.parameter(Column::Text(like_pattern(text)));
            condition.push_str(&format!(
                " AND (u.name LIKE {pattern} ESCAPE '\\' OR u.email LIKE {pattern} ESCAPE '\\'
                   OR u.external_id LIKE {pattern} ESCAPE '\\')"
            ));
        }
        let after = sql.parameter(Column::Integer(after.0));
        let limit = sql.parameter(Column::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let text = format!(
            "SELECT u.id, u.external_id, u.email, u.name FROM users u
             WHERE u.project = ?1 AND u.id > {after} AND {condition} ORDER BY u.id LIMIT {limit}"
        );
        let mut statement = self.connection.prepare_cached(&text)?;
        let users = statement.query_map(params_from_iter(sql.parameters), read_user)?;
        Ok(users.collect::<Result<_, _>>()?)
    }

    /// The segments of the project that one of its users is in, by name.
    pub fn segments_of_user(
        &self,
        project: ProjectId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<super::segments::Segment>, Error> {
        let keys = self.keys_of_user(project, user)?;
        let all = self.segments(project)?;
        let segments = Segments::new(&all);
        let today = self.today(project, now)?;
        let none: &[Key] = &[];
        let held = |attribute: Attribute| keys.get(&attribute).map_or(none, Vec::as_slice);
        let mut filters = Filters::new(&segments, &today);
        let mut of_user = Vec::new();
        for segment in all {
            if filters.of_segment(segment.id)?.holds(&held) {
                of_user.push(segment);
            }
        }
        Ok(of_user)
    }

    /// Everything that a user is found by.
    fn keys_of_user(
        &self,
        project: ProjectId,
        id: UserId,
    ) -> Result<HashMap<Attribute, Vec<Key>>, Error> {
        let user = self.user(project, id)?;
        let mut keys = HashMap::new();
        let texts = [
            (Attribute::Email, user.email),
            (Attribute::Name, user.name),
            (Attribute::ExternalId, user.external_id),
        ];
        for (attribute, text) in texts {
            if let Some(text) = text {
                keys.insert(attribute, vec![Key::Text(fold(&text))]);
            }
        }
        let created_at = self
            .statement("SELECT created_at FROM users WHERE id = ?1")?
            .query_one([id.0], |row| row.get(0).map(Key::Whole))?;
        keys.insert(Attribute::CreatedAt, vec![created_at]);
        let mut statement = self.statement(
            "SELECT v.variable, v.value, a.type
             FROM user_values v JOIN variables a ON a.id = v.variable WHERE v.user = ?1",
        )?;
        let mut rows = statement.query([id.0])?;
        while let Some(row) = rows.next()? {
            let of = encode::read_variable_type(row.get_ref(2)?.as_str().unwrap_or_default())?;
            let value = encode::read_value(row.get_ref(1)?, of)?;
            let variable = Attribute::Variable(VariableId(row.get(0)?));
            keys.insert(variable, keys_of(&value));
        }
        Ok(keys)
    }
}

/// Filters of conditions that name segments; each segment's is made once.
struct Filters<'s> {
    segments: &'s Segments,
    today: &'s Today,
    made: HashMap<SegmentId, Filter>,
}

impl<'s> Filters<'s> {
    fn new(segments: &'s Segments, today: &'s Today) -> Self {
        Self {
            segments,
            today,
            made: HashMap::new(),
        }
    }

    fn of(&mut self, condition: &Condition) -> Result<Filter, Error> {
        condition.at(self.today, &mut |segment| self.of_segment(segment))
    }

    fn of_segment(&mut self, segment: SegmentId) -> Result<Filter, Error> {
        if let Some(filter) = self.made.get(&segment) {
            return Ok(filter.clone());
        }
        // What is saved names no segment that is not there, and not itself.
        let condition = self.segments.condition(segment);
        let filter = self.of(condition.ok_or(Error::NotFound("segment"))?)?;
        self.made.insert(segment, filter.clone());
        Ok(filter)
    }
}

/// A filter as a condition on `u`, a row of `users`; never NULL.
struct Sql<'t, 'c> {
    tx: &'t Tx<'c>,
    text: String,
    parameters: Vec<Column>,
}

impl<'t, 'c> Sql<'t, 'c> {
    /// Begins; the first parameter is the project.
    fn new(tx: &'t Tx<'c>, project: ProjectId) -> Self {
        Self {
            tx,
            text: String::new(),
            parameters: vec![Column::Integer(project.0)],
        }
    }

    fn parameter(&mut self, value: Column) -> String {
        self.parameters.push(value);
        format!("?{}", self.parameters.len())
    }

    fn filter(&mut self, filter: &Filter) -> Result<(), Error> {
        match filter {
            Filter::All(parts) => self.joined(parts, " AND ", "1"),
            Filter::Any(parts) => self.joined(parts, " OR ", "0"),
            Filter::Not(part) => {
                self.text.push_str("NOT (");
                self.filter(part)?;
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
            self.filter(part)?;
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
                // Nobody is found by having any value: that is most users.
                if matches!(keys, Keys::All) {
                    self.text.push_str(&format!(
                        "EXISTS (SELECT 1 FROM user_values v WHERE v.user = u.id AND v.variable = {id})"
                    ));
                    return Ok(());
                }
                if self.tx.is_sought(variable)? {
                    let keys = self.keys("s.key", keys);
                    self.text.push_str(&format!(
                        "u.id IN (SELECT s.user FROM sought_values s WHERE s.variable = {id} AND {keys})"
                    ));
                    return Ok(());
                }
                let variable = self.tx.variable_type(variable)?;
                let (from, key) = match variable {
                    VariableType::Text => ("user_values v", "folded(v.value)"),
                    VariableType::List => (
                        "user_values v CROSS JOIN json_each(v.value) j",
                        "folded(j.value)",
                    ),
                    VariableType::Number
                    | VariableType::Boolean
                    | VariableType::Date
                    | VariableType::Datetime => ("user_values v", "v.value"),
                };
                let keys = self.keys(key, keys);
                self.text.push_str(&format!(
                    "EXISTS (SELECT 1 FROM {from} WHERE v.user = u.id AND v.variable = {id} AND {keys})"
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
    fn keys(&mut self, key: &str, keys: &Keys) -> String {
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
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::condition::{Rule, Test, TextTest},
        store::Store,
    };

    /// A statement begins with the users, and finds each one's value by its key;
    /// or with those whom a value names. The other way round would be slow only
    /// where there are many.
    #[tokio::test]
    async fn each_statement_begins_with_the_users_or_with_whom_a_value_names() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        let store = Arc::new(Store::open(&directory).expect("opens"));
        let plans = store.transact(|tx| {
            let now = Timestamp(0);
            let project = tx.create_project("A project", "UTC", now)?.id;
            let variable = tx.create_variable(project, "plan", None, VariableType::Text, now)?;
            let test = Test::Text(TextTest::Is("pro".into()));
            let attribute = Attribute::Variable(variable);
            let rule = Condition::Rule(Rule { attribute, test });
            let plan = |condition: &Condition| {
                let mut sql = Sql::new(tx, project);
                sql.filter(&tx.audience(project, condition, now)?.filter)?;
                Ok::<_, Error>(super::super::query_plan(&format!(
                    "SELECT u.id, u.email FROM users u WHERE u.project = ?1 AND u.id > 9 AND {}
                     ORDER BY u.id LIMIT 50",
                    sql.text
                )))
            };
            let before = plan(&rule)?;
            let wanted = super::super::segments::NewSegment {
                name: "Pro".into(),
                description: None,
                condition: rule.clone(),
            };
            let saved = tx.save_segment(project, None, &wanted, now)?;
            saved.expect("a segment");
            Ok((before, plan(&rule)?))
        });
        let (looked_at, found) = plans.await.expect("plans");
        drop(store);
        std::fs::remove_dir_all(&directory).expect("removed");
        assert!(looked_at[0].starts_with("SEARCH u "), "{looked_at:?}");
        let key = "PRIMARY KEY (user=? AND variable=?)";
        assert!(looked_at[1].ends_with(key), "{looked_at:?}");
        let key = "PRIMARY KEY (variable=? AND key=?)";
        assert!(found.iter().any(|step| step.ends_with(key)), "{found:?}");
        let sorts = |steps: &[String]| steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(
            !sorts(&looked_at) && !sorts(&found),
            "{looked_at:?} {found:?}"
        );
    }
}
