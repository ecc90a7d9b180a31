//! The condition builder: a form for a tree of rules, and whom they have so far.

use std::collections::HashMap;

use askama::Template;
use serde_json::Value as Json;

use super::{
    super::{format, users::Person},
    draft::{Group, Mode, Part, Path, Rule, SEGMENT, path_text},
    offers::{Control, Offers, type_label},
};
use crate::{
    model::{ProjectId, SegmentId, Timestamp, condition::Condition},
    sqlite,
    store::{self, Store, Tx},
    web::api::segments::{self, CONDITIONS},
};

/// Users shown beside conditions while they are built.
const EXAMPLES: usize = 5;

/// A tree that is being built, as it was read and as far as it can be
/// understood.
pub struct Built {
    /// The tree.
    pub draft: Group,
    /// The document of what is filled in; none where nothing is.
    pub document: Option<Json>,
    /// The condition of it; none where nothing is filled in, or something is
    /// wrong.
    pub condition: Option<Condition>,
    /// What is wrong, by the path of the rule; of the whole by none.
    pub errors: HashMap<Option<Path>, String>,
    /// What is not filled in yet, by the path of the rule.
    pub missing: HashMap<Path, &'static str>,
}

impl Built {
    /// Understands a tree of the segment `of`, where there is one already.
    pub fn new(offers: &Offers, of: Option<SegmentId>, mut draft: Group) -> Self {
        settle(&mut draft, offers);
        let mut missing = HashMap::new();
        draft.visit(&mut |path, rule| {
            if let Some(what) = rule.missing() {
                missing.insert(path.to_vec(), what);
            }
        });
        let mut places = Vec::new();
        let filled_in = |rule: &Rule| {
            let document = || rule.document(offers.type_of(rule));
            rule.missing().is_none().then(document)
        };
        let document = draft.document(&filled_in, CONDITIONS, &mut places);
        let mut errors = HashMap::new();
        let read = document.as_ref().map(|document| {
            let condition = offers.known.read(document, CONDITIONS);
            condition.and_then(|condition| {
                let checked = offers.known.segments().check(of, &condition);
                checked.map_err(|refusal| segments::refusal_errors(&refusal))?;
                Ok(condition)
            })
        });
        let condition = match read {
            None => None,
            Some(Ok(condition)) => Some(condition),
            Some(Err(wrong)) => {
                for error in wrong {
                    let place = places.iter().find(|(pointer, _)| {
                        let rest = error.pointer.strip_prefix(pointer.as_str());
                        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    });
                    let path = place.map(|(_, path)| path.clone());
                    errors.entry(path).or_insert(error.detail);
                }
                None
            }
        };
        Self {
            draft,
            document,
            condition,
            errors,
            missing,
        }
    }

    /// What is not filled in is wrong too: it is about to be saved.
    pub fn must_be_whole(&mut self) {
        for (path, what) in self.missing.drain() {
            self.errors.insert(Some(path), what.to_owned());
        }
        if self.document.is_none() && self.errors.is_empty() {
            self.errors
                .insert(None, "Add at least one rule.".to_owned());
        }
    }
}

fn settle(group: &mut Group, offers: &Offers) {
    for part in &mut group.parts {
        match part {
            Part::Group(group) => settle(group, offers),
            Part::Rule(rule) => offers.settle(rule),
        }
    }
}

/// The form's part that shows the tree.
#[derive(Template)]
#[template(path = "audience/group.html")]
pub struct GroupView {
    id: String,
    is_root: bool,
    mode: &'static str,
    /// What stands between two parts.
    between: &'static str,
    parts: Vec<PartView>,
    error: Option<String>,
    /// Whether to go on at its buttons.
    is_next: bool,
    may_nest: bool,
}

enum PartView {
    Group(GroupView),
    Rule(Box<RuleView>),
}

struct RuleView {
    id: String,
    number: usize,
    rule: Rule,
    kinds: Vec<(String, Vec<(String, String)>)>,
    operators: &'static [(&'static str, &'static str)],
    control: Control,
    lines: String,
    type_label: &'static str,
    /// The connector that feeds the attribute, and that in words.
    connector: Option<(String, String)>,
    has_segments: bool,
    error: Option<String>,
    is_next: bool,
}

impl RuleView {
    /// What describes its controls, where something does.
    fn described(&self) -> String {
        match self.error {
            Some(_) => format!("error-{}", self.id),
            None => String::new(),
        }
    }
}

/// Makes views of a tree.
pub struct Views<'v, 'c> {
    /// The store.
    pub tx: &'v Tx<'c>,
    /// The project.
    pub project: ProjectId,
    /// What is on offer.
    pub offers: &'v Offers,
    /// The tree.
    pub built: &'v Built,
    /// Where to go on.
    pub next: Option<&'v Path>,
}

impl Views<'_, '_> {
    /// The whole tree.
    pub fn tree(&self) -> Result<GroupView, store::Error> {
        self.group(&self.built.draft, &mut Vec::new(), &mut 0)
    }

    fn group(
        &self,
        group: &Group,
        path: &mut Path,
        number: &mut usize,
    ) -> Result<GroupView, store::Error> {
        let mut parts = Vec::new();
        for (place, part) in group.parts.iter().enumerate() {
            path.push(place);
            parts.push(match part {
                Part::Group(inner) => PartView::Group(self.group(inner, path, number)?),
                Part::Rule(rule) => {
                    *number += 1;
                    PartView::Rule(Box::new(self.rule(rule, path, *number)?))
                }
            });
            path.pop();
        }
        let is_root = path.is_empty();
        Ok(GroupView {
            id: path_text(path),
            is_root,
            mode: group.mode.word(),
            between: match group.mode {
                Mode::All => "and",
                Mode::Any => "or",
                Mode::None => "nor",
            },
            parts,
            error: match is_root {
                true => self.built.errors.get(&None).cloned(),
                false => None,
            },
            is_next: self.next.is_some_and(|next| next == path),
            may_nest: path.len() < MAY_NEST,
        })
    }

    fn rule(&self, rule: &Rule, path: &Path, number: usize) -> Result<RuleView, store::Error> {
        let offer = self.offers.of(rule);
        let kinds = self.offers.kinds.iter().map(|kind| {
            let offers = kind.offers.iter();
            let offers = offers.map(|offer| (offer.value.clone(), offer.label.clone()));
            (kind.label.clone(), offers.collect())
        });
        Ok(RuleView {
            id: path_text(path),
            number,
            kinds: kinds.collect(),
            operators: self.offers.operators(rule),
            control: self.offers.control(self.tx, self.project, rule)?,
            lines: rule.texts().join("\n"),
            type_label: type_label(self.offers.type_of(rule)),
            connector: offer.and_then(|offer| offer.connector.clone().zip(offer.synced_from())),
            has_segments: !self.offers.segments.is_empty(),
            error: self.built.errors.get(&Some(path.clone())).cloned(),
            is_next: self.next.is_some_and(|next| next == path),
            rule: rule.clone(),
        })
    }
}

/// How deep the builder offers another group; the API takes some more.
const MAY_NEST: usize = 3;

/// Whom what is built has.
pub struct Outcome {
    /// How many; none where that cannot be said.
    pub count: Option<String>,
    /// Whether there are too many to count them now.
    pub is_late: bool,
    /// Of how many.
    pub total: String,
    /// The first of them.
    pub users: Vec<Person>,
    /// Rules that are not filled in yet.
    pub missing: usize,
}

impl Outcome {
    /// Asks for it now. What takes too long is said to, and the page is shown all
    /// the same.
    pub async fn ask(
        store: &Store,
        project: ProjectId,
        condition: Option<Condition>,
        missing: usize,
        now: Timestamp,
    ) -> Result<Self, store::Error> {
        let mut outcome = Self {
            count: None,
            is_late: false,
            total: String::new(),
            users: Vec::new(),
            missing,
        };
        let Some(condition) = condition else {
            return Ok(outcome);
        };
        let asked = store.ask(move |tx| {
            let found = segments::preview_of(tx, project, &condition, EXAMPLES, now)?;
            Ok((tx.user_count(project)?, found))
        });
        match asked.await {
            Ok((total, (count, users))) => {
                outcome.count = Some(format::count(count));
                outcome.total = format::count(total);
                outcome.users = users.into_iter().map(Person::from).collect();
            }
            Err(store::Error::Database(sqlite::Error::TookTooLong)) => outcome.is_late = true,
            Err(error) => return Err(error),
        }
        Ok(outcome)
    }
}
