//! Asking which users pass a condition: one statement for all users of a
//! project, and the same filter over the values of one.
//!
//! Of a variable that a segment names, users are found by its values
//! ([`super::sought`]), once these have their keys; of any other, each user's value
//! is looked at, which takes some tens of milliseconds for a hundred thousand users.

use std::collections::HashMap;

use rusqlite::{
    Connection,
    functions::FunctionFlags,
    params_from_iter,
    types::{Value as Column, ValueRef},
};

use super::{
    Error, Tx, encode,
    filters::Sql,
    segments::Segments,
    users::{User, UserFilter, read_user},
};
use crate::model::{
    KeyKind, ProjectId, SegmentId, Timestamp, UserId, VariableId, VariableType,
    condition::{Attribute, Condition, Filter, Key, Today, keys_of},
    fold, normalise,
};

/// Gives a connection the function that conditions and searches compare texts by.
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

#[cfg(test)]
impl Audience {
    /// What is asked.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }
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
        if let Filter::Has(Attribute::Variable(variable), keys) = filter
            && self.finds_by(*variable)?
        {
            // A variable's users are of its project; a list has several keys.
            let counted = match self.variable_type(*variable)? {
                VariableType::List => "count(DISTINCT s.user)",
                _ => "count(*)",
            };
            let variable = sql.parameter(Column::Integer(variable.0));
            let keys = sql.keys("s.key", keys);
            let text = format!(
                "SELECT {counted} FROM sought_values s WHERE s.variable = {variable} AND {keys}"
            );
            let mut statement = self.connection.prepare_cached(&text)?;
            return Ok(statement.query_one(params_from_iter(sql.parameters), |row| row.get(0))?);
        }
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
            let part = sql.parameter(Column::Text(fold(text)));
            condition.push_str(&format!(
                " AND (instr(folded(u.name), {part}) OR instr(folded(u.email), {part})
                   OR instr(folded(u.external_id), {part}))"
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
             FROM shown_values v JOIN variables a ON a.id = v.variable WHERE v.user = ?1",
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
