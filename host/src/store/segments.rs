//! Segments: conditions on a project's users, by name.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode, timestamp};
use crate::model::{
    ConnectionId, ProjectId, SegmentId, Timestamp, VariableId,
    condition::{Attribute, CHAIN_MAX, Condition, Leaf, RULES_WITH_USED_MAX},
    fold,
};

/// The most segments of a project. All are evaluated for one user at once.
pub const SEGMENTS_MAX: usize = 500;

/// A segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its id.
    pub id: SegmentId,
    /// What it is for.
    pub wanted: NewSegment,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What of a segment is its makers' to say.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSegment {
    /// Its name; another segment of the project differs by more than case.
    pub name: String,
    /// What it is for, in words.
    pub description: Option<String>,
    /// Whom it has.
    pub condition: Condition,
}

/// A segment's name, for those who name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: SegmentId,
    /// Its name.
    pub name: String,
}

/// Why a segment cannot be saved or deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another has the name.
    #[error("There is a segment of that name already.")]
    NameTaken,
    /// There are as many as may be.
    #[error(
        "A project has at most {SEGMENTS_MAX} segments. Delete one that is not needed any more."
    )]
    TooMany,
    /// A segment that it names is not there.
    #[error("There is no segment {0} in this project.")]
    NoSegment(SegmentId),
    /// It would contain itself, through the segments named.
    #[error("It would contain itself, through {}.", names(.0))]
    ContainsItself(Vec<Named>),
    /// With those that it names, or those that name it, there are too many.
    #[error("{}", too_large(.0))]
    TooLarge(Option<Named>),
    /// Others name it.
    #[error("{} it in their conditions: {}.", match .0.len() { 1 => "One segment uses", _ => "Other segments use" }, names(.0))]
    Used(Vec<Named>),
}

fn names(of: &[Named]) -> String {
    let names: Vec<String> = of.iter().map(|one| format!("“{}”", one.name)).collect();
    names.join(", ")
}

fn too_large(user: &Option<Named>) -> String {
    let of = match user {
        None => String::new(),
        Some(named) => format!(" of “{}”, which uses it,", named.name),
    };
    format!(
        "The rules{of} would be more than {RULES_WITH_USED_MAX} with those of the segments it \
         uses, or their chain longer than {CHAIN_MAX}."
    )
}

/// The conditions of a project's segments.
#[derive(Clone)]
pub struct Segments {
    by_id: HashMap<SegmentId, (String, Condition)>,
}

impl Segments {
    /// Those of a project.
    pub fn new(segments: &[Segment]) -> Self {
        let by_id = segments.iter().map(|held| {
            let wanted = held.wanted.clone();
            (held.id, (wanted.name, wanted.condition))
        });
        Self {
            by_id: by_id.collect(),
        }
    }

    /// A segment's condition.
    pub fn condition(&self, segment: SegmentId) -> Option<&Condition> {
        self.by_id.get(&segment).map(|(_, condition)| condition)
    }

    /// A segment's name.
    pub fn name(&self, segment: SegmentId) -> Option<&str> {
        self.by_id.get(&segment).map(|(name, _)| name.as_str())
    }

    /// The segments, in the order of their ids.
    pub fn ids(&self) -> Vec<SegmentId> {
        let mut ids: Vec<SegmentId> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The segments that `of` can name: those that do not name it. By name.
    pub fn besides(&self, of: Option<SegmentId>) -> Vec<(SegmentId, String)> {
        let users = of.map(|of| self.users_of(of)).unwrap_or_default();
        let others = self
            .by_id
            .iter()
            .filter(|(id, _)| Some(**id) != of && !users.contains(*id));
        let mut named: Vec<_> = others.map(|(id, (name, _))| (*id, name.clone())).collect();
        named.sort_by_cached_key(|(_, name)| fold(name));
        named
    }

    fn named(&self, id: SegmentId) -> Named {
        let name = self.name(id).unwrap_or_default().to_owned();
        Named { id, name }
    }

    /// Whether a condition, of the segment `of` where it is one's, can be kept:
    /// what it names exists, it does not name itself, and it is not too large,
    /// neither is any that names it.
    pub fn check(&self, of: Option<SegmentId>, condition: &Condition) -> Result<(), Refusal> {
        let mut way = Vec::new();
        let weight = self.weigh(of, condition, &mut way)?;
        if weight > RULES_WITH_USED_MAX {
            return Err(Refusal::TooLarge(None));
        }
        let Some(of) = of else {
            return Ok(());
        };
        // Those that name it become larger with it.
        let mut with = self.clone();
        with.by_id.insert(of, (String::new(), condition.clone()));
        for user in self.users_of(of) {
            let own = self.condition(user).ok_or(Refusal::NoSegment(user))?;
            match with.weigh(Some(user), own, &mut Vec::new()) {
                Ok(weight) if weight <= RULES_WITH_USED_MAX => {}
                _ => return Err(Refusal::TooLarge(Some(self.named(user)))),
            }
        }
        Ok(())
    }

    /// The segments that name one, themselves or through others.
    fn users_of(&self, of: SegmentId) -> BTreeSet<SegmentId> {
        let mut users = BTreeSet::new();
        let mut last = vec![of];
        while let Some(used) = last.pop() {
            for (id, (_, condition)) in &self.by_id {
                if used_by(condition).contains(&used) && users.insert(*id) {
                    last.push(*id);
                }
            }
        }
        users
    }

    /// How many rules and segments a condition has, with those of the segments
    /// that it names.
    fn weigh(
        &self,
        of: Option<SegmentId>,
        condition: &Condition,
        way: &mut Vec<SegmentId>,
    ) -> Result<usize, Refusal> {
        if way.len() > CHAIN_MAX {
            return Err(Refusal::TooLarge(None));
        }
        let mut weight = 0;
        let mut used = Vec::new();
        condition.visit(&mut |leaf| match leaf {
            Leaf::Rule(_) => weight += 1,
            Leaf::Segment(segment) => used.push(segment),
        });
        for segment in used {
            if Some(segment) == of {
                let mut through: Vec<Named> = way.iter().map(|id| self.named(*id)).collect();
                if through.is_empty() {
                    through.push(self.named(segment));
                }
                return Err(Refusal::ContainsItself(through));
            }
            let Some(condition) = self.condition(segment) else {
                return Err(Refusal::NoSegment(segment));
            };
            way.push(segment);
            weight += 1 + self.weigh(of, condition, way)?;
            way.pop();
            if weight > RULES_WITH_USED_MAX {
                return Err(Refusal::TooLarge(None));
            }
        }
        Ok(weight)
    }
}

/// The segments that a condition names.
pub fn used_by(condition: &Condition) -> BTreeSet<SegmentId> {
    let mut used = BTreeSet::new();
    condition.visit(&mut |leaf| {
        if let Leaf::Segment(segment) = leaf {
            used.insert(segment);
        }
    });
    used
}

/// The variables that a condition names.
fn variables_of(condition: &Condition) -> BTreeSet<VariableId> {
    let mut named = BTreeSet::new();
    condition.visit(&mut |leaf| {
        if let Leaf::Rule(rule) = leaf
            && let Attribute::Variable(variable) = rule.attribute
        {
            named.insert(variable);
        }
    });
    named
}

impl Tx<'_> {
    /// The project's segments, by name.
    pub fn segments(&self, project: ProjectId) -> Result<Vec<Segment>, Error> {
        let mut statement = self.statement(
            "SELECT id, name, description, conditions, created_at, updated_at
             FROM segments WHERE project = ?1 ORDER BY name_key",
        )?;
        let mut rows = statement.query([project.0])?;
        let mut segments = Vec::new();
        while let Some(row) = rows.next()? {
            segments.push(read_segment(row)?);
        }
        Ok(segments)
    }

    /// A segment of the project.
    pub fn segment(&self, project: ProjectId, id: SegmentId) -> Result<Segment, Error> {
        let mut statement = self.statement(
            "SELECT id, name, description, conditions, created_at, updated_at
             FROM segments WHERE project = ?1 AND id = ?2",
        )?;
        let mut rows = statement.query(params![project.0, id.0])?;
        match rows.next()? {
            Some(row) => read_segment(row),
            None => Err(Error::NotFound("segment")),
        }
    }

    /// The conditions of the project's segments.
    pub fn segment_conditions(&self, project: ProjectId) -> Result<Segments, Error> {
        Ok(Segments::new(&self.segments(project)?))
    }

    /// The segments that name another one in their conditions.
    pub fn segments_using(&self, used: SegmentId) -> Result<Vec<Named>, Error> {
        let mut statement = self.statement(
            "SELECT s.id, s.name FROM segment_uses u JOIN segments s ON s.id = u.segment
             WHERE u.used = ?1 ORDER BY s.name_key",
        )?;
        let named = statement.query_map([used.0], |row| {
            Ok(Named {
                id: SegmentId(row.get(0)?),
                name: row.get(1)?,
            })
        })?;
        Ok(named.collect::<Result<_, _>>()?)
    }

    /// The segments that name a variable which a connection feeds, each with such a
    /// variable's name.
    pub fn segments_fed_by(&self, connection: ConnectionId) -> Result<Vec<(String, Named)>, Error> {
        let mut statement = self.statement(
            "SELECT v.name, s.id, s.name FROM object_mappings m
             JOIN fields f ON f.mapping = m.id
             JOIN segment_variables u ON u.variable = f.variable
             JOIN variables v ON v.id = f.variable
             JOIN segments s ON s.id = u.segment
             WHERE m.connection = ?1 ORDER BY s.name_key, v.name",
        )?;
        let named = statement.query_map([connection.0], |row| {
            let segment = Named {
                id: SegmentId(row.get(1)?),
                name: row.get(2)?,
            };
            Ok((row.get(0)?, segment))
        })?;
        Ok(named.collect::<Result<_, _>>()?)
    }

    /// Makes a segment, or changes one.
    pub fn save_segment(
        &self,
        project: ProjectId,
        id: Option<SegmentId>,
        wanted: &NewSegment,
        now: Timestamp,
    ) -> Result<Result<SegmentId, Refusal>, Error> {
        let held = self.segment_conditions(project)?;
        let before = match id {
            Some(id) => {
                let before = held.condition(id).ok_or(Error::NotFound("segment"))?;
                variables_of(before)
            }
            None => BTreeSet::new(),
        };
        if id.is_none() && held.by_id.len() >= SEGMENTS_MAX {
            return Ok(Err(Refusal::TooMany));
        }
        if let Err(refusal) = held.check(id, &wanted.condition) {
            return Ok(Err(refusal));
        }
        let name_key = fold(&wanted.name);
        let taken: Option<i64> = self
            .statement("SELECT id FROM segments WHERE project = ?1 AND name_key = ?2")?
            .query_row(params![project.0, name_key], |row| row.get(0))
            .optional()?;
        if taken.is_some_and(|taken| Some(SegmentId(taken)) != id) {
            return Ok(Err(Refusal::NameTaken));
        }
        let conditions = encode::json(&wanted.condition)?;
        let id = match id {
            Some(id) => {
                self.statement(
                    "UPDATE segments SET name = ?2, name_key = ?3, description = ?4,
                        conditions = ?5, updated_at = ?6 WHERE id = ?1",
                )?
                .execute(params![
                    id.0,
                    wanted.name,
                    name_key,
                    wanted.description,
                    conditions,
                    now.0
                ])?;
                id
            }
            None => {
                self.statement(
                    "INSERT INTO segments
                        (project, name, name_key, description, conditions, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                )?
                .execute(params![
                    project.0,
                    wanted.name,
                    name_key,
                    wanted.description,
                    conditions,
                    now.0
                ])?;
                SegmentId(self.connection.last_insert_rowid())
            }
        };
        self.save_uses(id, &wanted.condition)?;
        self.seek_values(&before, &variables_of(&wanted.condition))?;
        Ok(Ok(id))
    }

    fn save_uses(&self, id: SegmentId, condition: &Condition) -> Result<(), Error> {
        for sql in [
            "DELETE FROM segment_variables WHERE segment = ?1",
            "DELETE FROM segment_uses WHERE segment = ?1",
        ] {
            self.execute_by_id(sql, id.0)?;
        }
        let mut insert =
            self.statement("INSERT INTO segment_variables (segment, variable) VALUES (?1, ?2)")?;
        for variable in variables_of(condition) {
            insert.execute([id.0, variable.0])?;
        }
        let mut insert =
            self.statement("INSERT INTO segment_uses (segment, used) VALUES (?1, ?2)")?;
        for used in used_by(condition) {
            insert.execute([id.0, used.0])?;
        }
        Ok(())
    }

    /// Deletes a segment that no other one names.
    pub fn delete_segment(
        &self,
        project: ProjectId,
        id: SegmentId,
    ) -> Result<Result<(), Refusal>, Error> {
        let segment = self.segment(project, id)?;
        let using = self.segments_using(id)?;
        if !using.is_empty() {
            return Ok(Err(Refusal::Used(using)));
        }
        self.execute_by_id("DELETE FROM segments WHERE id = ?1", id.0)?;
        let before = variables_of(&segment.wanted.condition);
        self.seek_values(&before, &BTreeSet::new())?;
        Ok(Ok(()))
    }
}

fn read_segment(row: &rusqlite::Row<'_>) -> Result<Segment, Error> {
    Ok(Segment {
        id: SegmentId(row.get(0)?),
        wanted: NewSegment {
            name: row.get(1)?,
            description: row.get(2)?,
            condition: encode::read_json(&row.get::<_, String>(3)?)?,
        },
        created_at: timestamp(row, 4)?,
        updated_at: timestamp(row, 5)?,
    })
}
