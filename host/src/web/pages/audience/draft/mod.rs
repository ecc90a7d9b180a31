//! Conditions while somebody builds them: read from a form, changed by its
//! buttons, written into addresses, and made into the document that is checked.
//!
//! A form says a tree by the order of its fields: `g` opens a group, `e` closes
//! it, and in it `a` begins a rule, which `o` and any `v` are of.

mod rule;
mod saved;

use serde_json::{Value as Json, json};
use url::form_urlencoded;

pub use rule::{Rule, SEGMENT, Takes, attribute};

use super::super::Error;
use crate::{
    model::condition::{DEPTH_MAX, RULES_MAX},
    web::api::condition_document::ConditionDocument,
};

/// The most rules that a form is read with: some more than may be saved, so that
/// a page can say so.
const FORM_RULES_MAX: usize = 2 * RULES_MAX;

/// How the parts of a group belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All hold.
    All,
    /// Any holds.
    Any,
    /// None holds.
    None,
}

impl Mode {
    /// All of them, with the words of forms and of pages.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::All, "all", "all (AND)"),
        (Self::Any, "any", "any (OR)"),
        (Self::None, "none", "none (NOT)"),
    ];

    fn read(word: &str) -> Self {
        let known = Self::ALL.into_iter().find(|(_, known, _)| *known == word);
        known.map_or(Self::All, |(mode, ..)| mode)
    }

    /// The word in forms.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::None => "none",
        }
    }
}

/// A part of what is being built.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A group.
    Group(Group),
    /// A rule.
    Rule(Rule),
}

/// A group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// How its parts belong together.
    pub mode: Mode,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// Where a part is: its place in its group, that one's in its own, ….
pub type Path = Vec<usize>;

/// A path in forms and in ids of elements.
pub fn path_text(path: &[usize]) -> String {
    let places: Vec<String> = path.iter().map(usize::to_string).collect();
    places.join("-")
}

fn read_path(text: &str) -> Option<Path> {
    let places = text.split('-').filter(|place| !place.is_empty());
    places.map(|place| place.parse().ok()).collect()
}

/// What a button of the form does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Adds a rule to a group.
    AddRule(Path),
    /// Adds a group, with a rule, to a group.
    AddGroup(Path),
    /// Removes a part.
    Remove(Path),
    /// Saves.
    Save,
}

impl Act {
    /// What the button that was pressed does; none where none was.
    pub fn of(pairs: &[(String, String)]) -> Option<Self> {
        let (_, word) = pairs.iter().rev().find(|(name, _)| name == "act")?;
        let (word, path) = word.split_once(':').unwrap_or((word, ""));
        match word {
            "rule" => read_path(path).map(Self::AddRule),
            "group" => read_path(path).map(Self::AddGroup),
            "remove" => read_path(path).map(Self::Remove),
            "save" => Some(Self::Save),
            _ => None,
        }
    }
}

impl Group {
    /// Nothing is built yet: everyone.
    pub fn new() -> Self {
        Self {
            mode: Mode::All,
            parts: Vec::new(),
        }
    }

    /// Reads what a form says.
    ///
    /// # Errors
    ///
    /// [`Error::BadForm`] where it is no form of ours.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, Error> {
        let mut open: Vec<Self> = vec![Self::new()];
        let (mut is_root, mut rules) = (true, 0);
        for (name, value) in pairs {
            let depth = open.len();
            let Some(group) = open.last_mut() else {
                return Err(Error::BadForm);
            };
            match (name.as_str(), group.parts.last_mut()) {
                ("g", _) if is_root => {
                    is_root = false;
                    group.mode = Mode::read(value);
                }
                ("g", _) if depth <= DEPTH_MAX => open.push(Self {
                    mode: Mode::read(value),
                    parts: Vec::new(),
                }),
                ("g", _) => return Err(Error::BadForm),
                ("e", _) => {
                    let closed = open.pop().ok_or(Error::BadForm)?;
                    match open.last_mut() {
                        Some(outer) => outer.parts.push(Part::Group(closed)),
                        // The outermost: what follows is none of it.
                        None => return Ok(closed),
                    }
                }
                ("a", _) => {
                    rules += 1;
                    if rules > FORM_RULES_MAX {
                        return Err(Error::BadForm);
                    }
                    group.parts.push(Part::Rule(Rule {
                        attribute: value.clone(),
                        ..Rule::default()
                    }));
                }
                ("o", Some(Part::Rule(rule))) => rule.operator.clone_from(value),
                ("v", Some(Part::Rule(rule))) => {
                    rule.values.push(value.replace("\r\n", "\n"));
                }
                _ => {}
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(root), true) => Ok(root),
            _ => Err(Error::BadForm),
        }
    }

    /// Begins with a condition as it is saved.
    pub fn of(document: &ConditionDocument) -> Self {
        match saved::part_of(document) {
            Part::Group(group) => group,
            rule @ Part::Rule(_) => Self {
                mode: Mode::All,
                parts: vec![rule],
            },
        }
    }

    /// Says it as a form would.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs = vec![("g", self.mode.word())];
        for part in &self.parts {
            match part {
                Part::Group(group) => pairs.extend(group.pairs()),
                Part::Rule(rule) => {
                    pairs.push(("a", &rule.attribute));
                    pairs.push(("o", &rule.operator));
                    pairs.extend(rule.values.iter().map(|value| ("v", value.as_str())));
                }
            }
        }
        pairs.push(("e", ""));
        pairs
    }

    /// Says it in an address; nothing where nothing is built.
    pub fn query(&self) -> String {
        if self.parts.is_empty() {
            return String::new();
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs());
        query.finish()
    }

    fn group_at(&mut self, path: &[usize]) -> Option<&mut Self> {
        path.iter()
            .try_fold(self, |group, place| match group.parts.get_mut(*place) {
                Some(Part::Group(inner)) => Some(inner),
                _ => None,
            })
    }

    /// Does what a button asks for. Returns where to go on: the new rule, or the
    /// group of which a part was removed.
    pub fn act(&mut self, act: &Act) -> Option<Path> {
        let (path, part) = match act {
            Act::Save => return None,
            Act::Remove(path) => {
                let (place, outer) = path.split_last()?;
                let group = self.group_at(outer)?;
                if *place < group.parts.len() {
                    group.parts.remove(*place);
                }
                return Some(outer.to_vec());
            }
            Act::AddRule(path) => (path, Part::Rule(Rule::default())),
            Act::AddGroup(path) => {
                let parts = vec![Part::Rule(Rule::default())];
                // Groups within groups are mostly the other way round.
                let mode = match self.group_at(path)?.mode {
                    Mode::Any => Mode::All,
                    Mode::All | Mode::None => Mode::Any,
                };
                (path, Part::Group(Self { mode, parts }))
            }
        };
        let is_group = matches!(part, Part::Group(_));
        let group = self.group_at(path)?;
        group.parts.push(part);
        let mut at = path.clone();
        at.push(group.parts.len() - 1);
        if is_group {
            at.push(0);
        }
        Some(at)
    }

    /// Calls `visit` with every rule and where it is.
    pub fn visit<'g>(&'g self, visit: &mut impl FnMut(&[usize], &'g Rule)) {
        fn walk<'g>(group: &'g Group, path: &mut Path, visit: &mut impl FnMut(&[usize], &'g Rule)) {
            for (place, part) in group.parts.iter().enumerate() {
                path.push(place);
                match part {
                    Part::Group(group) => walk(group, path, visit),
                    Part::Rule(rule) => visit(path, rule),
                }
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), visit);
    }

    /// The document of it, without the rules that `document` gives none for, and
    /// without groups that have none; none where nothing is left. `places` gets
    /// where each rule's part of the document stands, and the rule's path.
    pub fn document(
        &self,
        rule: &impl Fn(&Rule) -> Option<Json>,
        pointer: &str,
        places: &mut Vec<(String, Path)>,
    ) -> Option<Json> {
        self.document_at(rule, pointer, &mut Vec::new(), places)
    }

    fn document_at(
        &self,
        rule: &impl Fn(&Rule) -> Option<Json>,
        pointer: &str,
        path: &mut Path,
        places: &mut Vec<(String, Path)>,
    ) -> Option<Json> {
        let (outer, word) = match self.mode {
            Mode::All => ("", "all"),
            Mode::Any => ("", "any"),
            Mode::None => ("/not", "any"),
        };
        let mut documents: Vec<Json> = Vec::new();
        for (place, part) in self.parts.iter().enumerate() {
            path.push(place);
            let pointer = format!("{pointer}{outer}/{word}/{}", documents.len());
            let document = match part {
                Part::Group(group) => group.document_at(rule, &pointer, path, places),
                Part::Rule(draft) => rule(draft).inspect(|_| places.push((pointer, path.clone()))),
            };
            documents.extend(document);
            path.pop();
        }
        if documents.is_empty() {
            return None;
        }
        let group = json!({ word: documents });
        Some(match self.mode {
            Mode::None => json!({ "not": group }),
            Mode::All | Mode::Any => group,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{rule::typed, *};
    use crate::model::VariableType;

    fn pairs(query: &str) -> Vec<(String, String)> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.into_owned().collect()
    }

    fn read(query: &str) -> Group {
        Group::read(&pairs(query)).expect("a form")
    }

    const NESTED: &str = "g=all&a=attribute.plan&o=is&v=Pro&g=any&a=segment&o=not_in&v=seg_1\
                          &a=attribute.seats&o=between&v=1&v=2.5&e=&a=&o=&e=";

    #[test]
    fn a_form_comes_back_as_it_was_read() {
        assert_eq!(read(NESTED).query(), NESTED);
        assert_eq!(read("q=x").query(), "");
    }

    #[test]
    fn a_document_has_what_is_filled_in_and_says_where_each_rule_is() {
        let draft = read(NESTED);
        let mut places = Vec::new();
        let of = |rule: &Rule| match rule.attribute_name() {
            Some("seats") => Some(VariableType::Number),
            _ => None,
        };
        let filled_in = |rule: &Rule| rule.missing().is_none().then(|| rule.document(of(rule)));
        let document = draft.document(&filled_in, "/conditions", &mut places);
        let expected = json!({"all": [
            {"variable": "plan", "operator": "is", "value": "Pro"},
            {"any": [
                {"not": {"segment": "seg_1"}},
                {"variable": "seats", "operator": "between", "value": [1, 2.5]},
            ]},
        ]});
        assert_eq!(document, Some(expected));
        let at = |pointer: &str, path: &[usize]| (pointer.to_owned(), path.to_vec());
        assert_eq!(
            places,
            [
                at("/conditions/all/0", &[0]),
                at("/conditions/all/1/any/0", &[1, 0]),
                at("/conditions/all/1/any/1", &[1, 1]),
            ]
        );
        assert_eq!(
            read("g=none&a=&e=").document(&filled_in, "", &mut places),
            None
        );
    }

    #[test]
    fn numbers_are_read_as_pages_write_them() {
        let number = |text| typed(text, Some(VariableType::Number));
        for (text, meant) in [
            ("1,000", json!(1_000)),
            ("12,500.5", json!(12_500.5)),
            ("\u{2212}1,234,567", json!(-1_234_567)),
            ("1000", json!(1_000)),
            ("1e3", json!(1_000.0)),
            ("1.5", json!(1.5)),
            // What may be meant otherwise is refused.
            ("1,5", json!("1,5")),
            ("1,0000", json!("1,0000")),
            ("1.000,5", json!("1.000,5")),
            (",000", json!(",000")),
            ("seven", json!("seven")),
        ] {
            assert_eq!(number(text), meant, "{text}");
        }
        assert_eq!(typed("1,000", Some(VariableType::Text)), json!("1,000"));
    }

    #[test]
    fn buttons_add_and_remove_where_they_stand() {
        let mut draft = read(NESTED);
        assert_eq!(draft.act(&Act::AddRule(vec![1])), Some(vec![1, 2]));
        assert_eq!(draft.act(&Act::AddGroup(vec![])), Some(vec![3, 0]));
        assert_eq!(draft.act(&Act::Remove(vec![1, 0])), Some(vec![1]));
        assert_eq!(draft.act(&Act::Remove(vec![9, 9])), None);
        let expected = "g=all&a=attribute.plan&o=is&v=Pro&g=any&a=attribute.seats&o=between\
                        &v=1&v=2.5&a=&o=&e=&a=&o=&g=any&a=&o=&e=&e=";
        assert_eq!(draft.query(), expected);
    }

    #[test]
    fn what_no_page_of_ours_sends_is_refused() {
        let deep = "g=all&".repeat(DEPTH_MAX + 2);
        let many = format!("g=all&{}e=", "a=x&".repeat(FORM_RULES_MAX + 1));
        for query in [deep.as_str(), many.as_str(), "g=all&g=any&e=&g=all"] {
            assert!(Group::read(&pairs(query)).is_err(), "{query}");
        }
    }
}
