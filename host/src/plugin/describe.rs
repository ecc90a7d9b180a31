//! What a component says it is, checked.

use std::collections::BTreeSet;

use super::{bindings::exports::jimo::connect::describe as wit, limits::NAME_BYTES_MAX};
use crate::{
    log::EntryKind,
    model::{ObjectType, PropertyName, SelectionRule, UserIdentifier},
};

/// No path leads deeper than this, so that following one cannot exhaust the
/// stack. HubSpot's longest has two steps.
const PATH_STEPS_MAX: usize = 8;

/// More object types, selections or paths than this are a mistake.
const COUNT_MAX: usize = 100;

/// Keys of nested JSON objects, from the outside in.
pub type Path = Vec<String>;

/// Where the elements of one kind of body stand, and what they concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDescription {
    /// The path to the array of elements.
    pub elements: Path,
    /// Within an element, the path to the id of its account; none where the
    /// account is known from the request.
    pub account: Option<Path>,
    /// Within an element, the paths to ids of records, its own first.
    pub records: Vec<Path>,
}

impl BodyDescription {
    /// Of the same elements, in an array by themselves: as they are set aside.
    pub fn of_array(&self) -> Self {
        Self {
            elements: Path::new(),
            ..self.clone()
        }
    }
}

/// What records are matched on when nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultMatch {
    /// The property.
    pub property: PropertyName,
    /// What it is compared with; never a variable.
    pub identifier: UserIdentifier,
}

/// One type of the source's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectTypeDescription {
    /// The name used everywhere else.
    pub name: ObjectType,
    /// What people read, for example `Contacts`.
    pub label: String,
    /// One of them, for example `Contact`.
    pub singular_label: String,
    /// What is matched on when nothing else is said; none where they follow
    /// another object type then.
    pub default_match: Option<DefaultMatch>,
    /// The object types through whose associations these reach users.
    pub through: Vec<ObjectType>,
    /// The ways to select among several records, the default first.
    pub selections: Vec<SelectionRule>,
}

/// What a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The connector's name, for example `hubspot`.
    pub connector: String,
    /// What people read, for example `HubSpot`.
    pub label: String,
    /// The component's own version.
    pub version: String,
    /// The object types that it understands.
    pub object_types: Vec<ObjectTypeDescription>,
    /// The body of a webhook request.
    pub delivery: BodyDescription,
    /// A file of the source's journal, where it keeps one.
    pub journal_file: Option<BodyDescription>,
    /// A page of records; none where the source only pushes, and the elements
    /// of its deliveries are whole records.
    pub records_page: Option<BodyDescription>,
    /// A page of associations, where the source answers such reads.
    pub associations_page: Option<BodyDescription>,
}

impl Description {
    /// The description of one object type.
    pub fn object_type(&self, name: &ObjectType) -> Option<&ObjectTypeDescription> {
        self.object_types
            .iter()
            .find(|object_type| &object_type.name == name)
    }

    /// The description of an entry's body; none where the component reads no such
    /// entries.
    pub fn body(&self, kind: EntryKind) -> Option<&BodyDescription> {
        match kind {
            EntryKind::Delivery => Some(&self.delivery),
            EntryKind::JournalFile => self.journal_file.as_ref(),
        }
    }

    /// Checks what a component says, and takes it over; else says what is wrong.
    pub(super) fn from_wit(said: wit::Description) -> Result<Self, String> {
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if said.connector.is_empty() || !said.connector.chars().all(slug) {
            return Err("the connector's name is not of lower case letters".into());
        }
        for text in [&said.connector, &said.label, &said.version] {
            check_text(text)?;
        }
        if !is_semver(&said.version) {
            return Err("the version is not of the form 1.2.3".into());
        }
        if said.object_types.is_empty() || said.object_types.len() > COUNT_MAX {
            return Err(format!(
                "there are {} object types",
                said.object_types.len()
            ));
        }
        let names: BTreeSet<String> = said.object_types.iter().map(|t| t.name.clone()).collect();
        if names.len() != said.object_types.len() {
            return Err("an object type is there twice".into());
        }
        let object_types: Vec<ObjectTypeDescription> = said
            .object_types
            .into_iter()
            .map(|object_type| object_type_from_wit(object_type, &names))
            .collect::<Result<_, _>>()?;
        let mut types = object_types.iter();
        if said.associations_page.is_none() && types.any(|one| !one.through.is_empty()) {
            return Err(
                "an object type is reached through associations that cannot be read".into(),
            );
        }
        Ok(Self {
            connector: said.connector,
            label: said.label,
            version: said.version,
            object_types,
            delivery: of_accounts(said.delivery)?,
            journal_file: said.journal_file.map(of_accounts).transpose()?,
            records_page: said.records_page.map(of_no_account).transpose()?,
            associations_page: said.associations_page.map(of_no_account).transpose()?,
        })
    }
}

fn object_type_from_wit(
    said: wit::ObjectType,
    names: &BTreeSet<String>,
) -> Result<ObjectTypeDescription, String> {
    for text in [&said.name, &said.label, &said.singular_label] {
        check_text(text)?;
    }
    if said
        .through
        .iter()
        .any(|through| !names.contains(through) || *through == said.name)
    {
        return Err("an object type is reached through one that is not there".into());
    }
    let mut selections = Vec::new();
    for selection in said.selections {
        let selection = selection_from_wit(selection);
        if selections.contains(&selection) {
            return Err("a selection is there twice".into());
        }
        selections.push(selection);
    }
    Ok(ObjectTypeDescription {
        name: said.name.into(),
        label: said.label,
        singular_label: said.singular_label,
        default_match: said.default_match.map(match_from_wit).transpose()?,
        through: said.through.into_iter().map(ObjectType::from).collect(),
        selections,
    })
}

fn match_from_wit(said: wit::DefaultMatch) -> Result<DefaultMatch, String> {
    check_text(&said.property)?;
    Ok(DefaultMatch {
        property: said.property.into(),
        identifier: match said.identifier {
            wit::UserIdentifier::Email => UserIdentifier::Email,
            wit::UserIdentifier::ExternalId => UserIdentifier::ExternalId,
            wit::UserIdentifier::Variable => {
                return Err("an object type is matched on a variable by default".into());
            }
        },
    })
}

fn selection_from_wit(said: wit::SelectionRule) -> SelectionRule {
    match said {
        wit::SelectionRule::Primary => SelectionRule::Primary,
        wit::SelectionRule::LatestModified => SelectionRule::LatestModified,
        wit::SelectionRule::LatestCreated => SelectionRule::LatestCreated,
        wit::SelectionRule::Largest => SelectionRule::Largest,
    }
}

/// Of a kind of body that comes for all accounts in one place.
fn of_accounts(said: wit::BodyDescription) -> Result<BodyDescription, String> {
    match said.account {
        Some(_) => body_from_wit(said),
        None => Err("deliveries or journal files do not say where their account stands".into()),
    }
}

/// Of a kind of body that answers what was asked of one account.
fn of_no_account(said: wit::BodyDescription) -> Result<BodyDescription, String> {
    match said.account {
        Some(_) => {
            Err("pages say where an account stands, and the host knows whose they are".into())
        }
        None => body_from_wit(said),
    }
}

fn body_from_wit(said: wit::BodyDescription) -> Result<BodyDescription, String> {
    if said.records.is_empty() || said.records.len() > COUNT_MAX {
        return Err("a kind of body does not say where its records' ids stand".into());
    }
    let inner = said.account.iter().chain(&said.records);
    if inner.clone().any(Vec::is_empty) {
        return Err("the path to an id is empty".into());
    }
    for path in inner.chain([&said.elements]) {
        if path.len() > PATH_STEPS_MAX {
            return Err(format!("a path has more than {PATH_STEPS_MAX} steps"));
        }
        path.iter().try_for_each(|step| check_text(step))?;
    }
    Ok(BodyDescription {
        elements: said.elements,
        account: said.account,
        records: said.records,
    })
}

/// Texts of a description are short, are there, and can be shown.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err("a text is empty, too long or has control characters".into());
    }
    Ok(())
}

/// Whether a text is `1.2.3`, with or without something after `-` or `+`.
fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3
        && numbers
            .iter()
            .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(step: &str) -> Path {
        vec![step.to_owned()]
    }

    fn body(account: Option<&str>) -> wit::BodyDescription {
        wit::BodyDescription {
            elements: vec![],
            account: account.map(path),
            records: vec![path("id")],
        }
    }

    fn object_type(name: &str) -> wit::ObjectType {
        wit::ObjectType {
            name: name.into(),
            label: name.into(),
            singular_label: name.into(),
            default_match: None,
            through: vec![],
            selections: vec![],
        }
    }

    fn description() -> wit::Description {
        wit::Description {
            connector: "crm".into(),
            label: "CRM".into(),
            version: "1.2.3-beta.1".into(),
            object_types: vec![object_type("contacts"), object_type("deals")],
            delivery: body(Some("account")),
            journal_file: None,
            records_page: Some(body(None)),
            associations_page: Some(body(None)),
        }
    }

    /// What is said of a description that differs in one thing.
    fn refused(change: impl FnOnce(&mut wit::Description)) -> String {
        let mut said = description();
        change(&mut said);
        Description::from_wit(said).expect_err("refused")
    }

    #[test]
    fn a_sensible_description_is_taken_over() {
        let description = Description::from_wit(description()).expect("a description");
        assert!(description.object_type(&"deals".into()).is_some());
        assert!(description.object_type(&"tickets".into()).is_none());
    }

    #[test]
    fn a_description_that_makes_no_sense_is_refused() {
        assert!(refused(|d| d.connector = "Crm".into()).contains("name"));
        assert!(refused(|d| d.label = "a\u{1b}".into()).contains("control"));
        assert!(refused(|d| d.version = "1.2".into()).contains("1.2.3"));
        assert!(refused(|d| d.object_types.clear()).contains("0 object types"));
        assert!(refused(|d| d.object_types.push(object_type("deals"))).contains("twice"));
        assert!(
            refused(|d| d.object_types[0].through = vec!["tickets".into()]).contains("through")
        );
        assert!(
            refused(|d| d.object_types[0].through = vec!["contacts".into()]).contains("through")
        );
        assert!(refused(|d| d.delivery.account = None).contains("account"));
        assert!(refused(|d| d.journal_file = Some(body(None))).contains("account"));
        assert!(refused(|d| d.records_page = Some(body(Some("account")))).contains("account"));
        assert!(refused(|d| d.delivery.records.clear()).contains("ids"));
        assert!(refused(|d| d.delivery.records[0].clear()).contains("empty"));
        let matched_on = |property: &str, identifier| {
            let property = property.to_owned();
            move |d: &mut wit::Description| {
                d.object_types[0].default_match = Some(wit::DefaultMatch {
                    property,
                    identifier,
                });
            }
        };
        let variable = wit::UserIdentifier::Variable;
        assert!(refused(matched_on("email", variable)).contains("variable"));
        assert!(refused(matched_on("", wit::UserIdentifier::Email)).contains("empty"));
        assert!(
            refused(|d| {
                d.object_types[1].through = vec!["contacts".into()];
                d.associations_page = None;
            })
            .contains("associations")
        );
        let deep =
            |steps| move |d: &mut wit::Description| d.delivery.elements = vec!["a".into(); steps];
        assert!(refused(deep(PATH_STEPS_MAX + 1)).contains("steps"));
        let mut deepest = description();
        deep(PATH_STEPS_MAX)(&mut deepest);
        Description::from_wit(deepest).expect("the deepest there may be");
    }
}
