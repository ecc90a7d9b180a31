//! Reading the tree: groups, segments and rules, with what is wrong where.

use serde_json::{Map, Value as Json};

use super::{
    Known,
    operands::{Wrong, test},
    operators,
};
use crate::{
    model::{
        SegmentId,
        condition::{Condition, DEPTH_MAX, RULES_MAX, Rule},
    },
    web::problem::{InputError, step},
};

/// How much is said to be wrong at once: a body has room for millions.
const ERRORS_MAX: usize = 100;

/// What was read so far.
pub(super) struct Reader<'k> {
    pub known: &'k Known,
    /// All that is wrong.
    pub errors: Vec<InputError>,
    /// How many rules and segments there are.
    pub rules: usize,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.errors.push(InputError::new(pointer, detail));
        None
    }

    /// A condition that stands at `pointer`; none where something is wrong with it.
    pub fn condition(&mut self, document: &Json, pointer: &str, depth: usize) -> Option<Condition> {
        if self.errors.len() >= ERRORS_MAX {
            return None;
        }
        if depth > DEPTH_MAX {
            return self.refuse(
                pointer,
                format!("Groups are nested at most {DEPTH_MAX} deep. Move some to a segment of their own."),
            );
        }
        let Json::Object(fields) = document else {
            return self.refuse(pointer, SHAPES);
        };
        let known = ["all", "any", "not", "segment", "variable"];
        let kinds: Vec<&str> = known
            .into_iter()
            .filter(|kind| fields.contains_key(*kind))
            .collect();
        let [kind] = kinds[..] else {
            return self.refuse(pointer, SHAPES);
        };
        let others = |field: &&String| match kind {
            "variable" => !["variable", "operator", "value"].contains(&field.as_str()),
            kind => *field != kind,
        };
        if let Some(other) = fields.keys().find(others) {
            let pointer = format!("{pointer}/{}", step(other));
            return self.refuse(&pointer, "This is no part of such a condition.");
        }
        let part = &fields[kind];
        let at = format!("{pointer}/{kind}");
        match kind {
            "all" => self.group(part, &at, depth).map(Condition::All),
            "any" => self.group(part, &at, depth).map(Condition::Any),
            "not" => {
                let part = self.condition(part, &at, depth + 1)?;
                Some(Condition::Not(Box::new(part)))
            }
            "segment" => self.segment(part, &at),
            _ => self.rule(fields, pointer),
        }
    }

    fn group(&mut self, parts: &Json, pointer: &str, depth: usize) -> Option<Vec<Condition>> {
        let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
        if parts.is_empty() {
            return self.refuse(pointer, "A group has a list of one or more conditions.");
        }
        let mut read = Vec::with_capacity(parts.len().min(RULES_MAX));
        for (index, part) in parts.iter().enumerate() {
            // What is wrong with one says nothing of the others.
            read.push(self.condition(part, &format!("{pointer}/{index}"), depth + 1));
            if self.rules > RULES_MAX || self.errors.len() >= ERRORS_MAX {
                return None;
            }
        }
        read.into_iter().collect()
    }

    fn segment(&mut self, id: &Json, pointer: &str) -> Option<Condition> {
        self.rules += 1;
        let id = id.as_str().and_then(|id| id.parse::<SegmentId>().ok());
        match id.filter(|id| self.known.segments.condition(*id).is_some()) {
            Some(id) => Some(Condition::Segment(id)),
            None => self.refuse(pointer, "There is no such segment in this project."),
        }
    }

    fn rule(&mut self, fields: &Map<String, Json>, pointer: &str) -> Option<Condition> {
        self.rules += 1;
        let name = fields["variable"].as_str().unwrap_or_default();
        let Some(named) = self.known.attribute(name) else {
            return self.refuse(
                &format!("{pointer}/variable"),
                "There is no such attribute: name a variable of the project, or `email`, `name`, `external_id` or `created_at`.",
            );
        };
        let operator = fields
            .get("operator")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let Some(operator) = operators(named.of).iter().find(|known| **known == operator) else {
            let of = named.of;
            let operators = operators(of).join("`, `");
            return self.refuse(
                &format!("{pointer}/operator"),
                format!("Of an attribute of type {of} the operator is one of `{operators}`."),
            );
        };
        let at = format!("{pointer}/value");
        match test(
            named.of,
            operator,
            fields.get("value").filter(|value| !value.is_null()),
        ) {
            Ok(test) => Some(Condition::Rule(Rule {
                attribute: named.attribute,
                test,
            })),
            Err(Wrong { index, detail }) => {
                let at = index.map_or_else(|| at.clone(), |index| format!("{at}/{index}"));
                self.refuse(&at, detail)
            }
        }
    }
}

const SHAPES: &str =
    "A condition is an object with `all`, `any`, `not`, `segment`, or `variable` and `operator`.";
