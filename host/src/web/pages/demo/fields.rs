//! The fields of a record's form: what HubSpot defines, as a page can show it,
//! and what was changed in it.

use hubspot_sim::{Account, Choice, Kind, ObjectType, PropertySpec, TrueRecord};
use jiff::civil::DateTime;

use super::{Error, Visit};

/// A form without fields of its own.
#[derive(serde::Deserialize)]
pub struct Nothing {}

/// How `datetime-local` writes a moment.
const INPUT_MOMENT: &str = "%Y-%m-%dT%H:%M";

/// A property, and the attribute that it feeds.
pub struct Mapped(Vec<(String, Option<String>)>);

impl Mapped {
    /// The mapped properties of an object type of the account's connection,
    /// after those that every record has.
    pub async fn load(visit: &Visit, account: &Account, of: ObjectType) -> Result<Self, Error> {
        let project = visit.session.project.id;
        let portal = account.portal().to_string();
        let fed = visit
            .host
            .store
            .read(move |tx| {
                let connection = tx.connections(project)?.into_iter().find(|connection| {
                    let key = connection.account.as_ref().map(|(_, key)| key.as_str());
                    key == Some(portal.as_str())
                });
                let Some(connection) = connection else {
                    return Ok(Vec::new());
                };
                Ok(tx
                    .variables(project)?
                    .into_iter()
                    .filter_map(|variable| Some((variable.fed_by?, variable.name)))
                    .filter(|(by, _)| by.connection == connection.id)
                    .filter(|(by, _)| by.object_type.as_str() == of.name())
                    .map(|(by, name)| (by.property.as_str().to_owned(), name))
                    .collect())
            })
            .await?;
        let mut all: Vec<(String, Option<String>)> = always(of)
            .iter()
            .map(|property| ((*property).to_owned(), None))
            .collect();
        for (property, variable) in fed {
            match all.iter_mut().find(|(known, _)| *known == property) {
                Some((_, feeds)) => *feeds = Some(variable),
                None => all.push((property, Some(variable))),
            }
        }
        Ok(Self(all))
    }
}

/// Properties that are shown whether they are mapped or not.
fn always(of: ObjectType) -> &'static [&'static str] {
    match of {
        ObjectType::Contacts => &["firstname", "lastname", "email", "lifecyclestage"],
        ObjectType::Companies => &["name", "domain", "industry"],
        ObjectType::Deals => &["dealname", "amount", "dealstage"],
    }
}

/// One field of a form.
pub struct Field {
    /// The property.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The attribute that it feeds.
    pub feeds: Option<String>,
    /// How it is shown and filled in.
    pub input: Input,
}

/// How a field is shown and filled in.
pub enum Input {
    /// One line; with the type of the input element.
    Line {
        /// `text`, `email`, `date`, `datetime-local`.
        kind: &'static str,
        /// `text`, `decimal`, `email`.
        mode: &'static str,
        /// What it holds.
        value: String,
    },
    /// One of some choices, or none: value, label, and whether it is chosen.
    One(Vec<(Choice, bool)>),
    /// Any of some choices.
    Any(Vec<(Choice, bool)>),
}

/// The fields of a record's form.
pub fn of_record(account: &Account, record: &TrueRecord, mapped: &Mapped) -> Vec<Field> {
    let mut fields = Vec::new();
    for (name, feeds) in &mapped.0 {
        let definition = account.definition(record.object_type.name(), name);
        let Ok(Some(definition)) = definition else {
            continue;
        };
        if definition.calculated {
            continue;
        }
        let value = record.value(name).unwrap_or_default();
        fields.push(Field {
            name: name.clone(),
            label: definition.label.clone(),
            feeds: feeds.clone(),
            input: input(&definition, value),
        });
    }
    fields
}

fn input(definition: &PropertySpec, value: &str) -> Input {
    let line = |kind, mode, value: &str| Input::Line {
        kind,
        mode,
        value: value.to_owned(),
    };
    let choices = |held: &[&str]| {
        let options = definition.options.iter();
        options
            .map(|option| (option.clone(), held.contains(&option.value.as_str())))
            .collect()
    };
    match definition.kind {
        Kind::Enumeration if definition.field_type == "checkbox" => {
            Input::Any(choices(&value.split(';').collect::<Vec<_>>()))
        }
        Kind::Enumeration | Kind::Bool if !definition.options.is_empty() => {
            Input::One(choices(&[value]))
        }
        Kind::Number => line("text", "decimal", value),
        Kind::Date => line("date", "text", value),
        Kind::Datetime => line("datetime-local", "text", &moment_for_input(value)),
        _ if definition.name == "email" => line("email", "email", value),
        _ => line("text", "text", value),
    }
}

/// A moment as `datetime-local` takes it, in UTC; nothing where it is none.
fn moment_for_input(value: &str) -> String {
    value
        .parse::<jiff::Timestamp>()
        .map(|moment| moment.strftime(INPUT_MOMENT).to_string())
        .unwrap_or_default()
}

/// What differs between a form as it was shown and as it was filled in: the
/// properties and their new texts. Else a sentence on what cannot be.
pub fn changes(
    shown: &[Field],
    filled: &[(String, String)],
) -> Result<Vec<(String, String)>, String> {
    let mut changes = Vec::new();
    for field in shown {
        let given: Vec<&str> = filled
            .iter()
            .filter(|(name, _)| *name == field.name)
            .map(|(_, value)| value.trim())
            .collect();
        let (before, after) = match &field.input {
            Input::Line { value, kind, .. } => {
                let Some(after) = given.first() else { continue };
                if *after == value {
                    continue;
                }
                let after = match *kind {
                    "datetime-local" => moment_from_input(after)
                        .ok_or_else(|| format!("{}: this is no date and time.", field.label))?,
                    _ => (*after).to_owned(),
                };
                (value.clone(), after)
            }
            Input::One(choices) => {
                let Some(after) = given.first() else { continue };
                (chosen(choices), (*after).to_owned())
            }
            Input::Any(choices) => (chosen(choices), given.join(";")),
        };
        if before != after {
            changes.push((field.name.clone(), after));
        }
    }
    Ok(changes)
}

fn chosen(choices: &[(Choice, bool)]) -> String {
    let held: Vec<&str> = choices
        .iter()
        .filter(|(_, is_chosen)| *is_chosen)
        .map(|(choice, _)| choice.value.as_str())
        .collect();
    held.join(";")
}

/// What `datetime-local` gave, as HubSpot writes moments. Empty stays empty.
fn moment_from_input(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let moment: DateTime = text.parse().ok()?;
    Some(format!("{moment}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(value: &str, is_chosen: bool) -> (Choice, bool) {
        let choice = Choice {
            value: value.to_owned(),
            label: value.to_uppercase(),
        };
        (choice, is_chosen)
    }

    #[test]
    fn only_what_was_changed_in_a_form_is_written() {
        let field = |name: &str, input| Field {
            name: name.to_owned(),
            label: name.to_owned(),
            feeds: None,
            input,
        };
        let line = |kind, value: &str| Input::Line {
            kind,
            mode: "text",
            value: value.to_owned(),
        };
        let shown = [
            field("city", line("text", "Paris")),
            field("phone", line("text", "1")),
            field("closedate", line("datetime-local", "2026-05-01T10:00")),
            field(
                "stage",
                Input::One(vec![choice("a", true), choice("b", false)]),
            ),
            field(
                "roles",
                Input::Any(vec![choice("x", true), choice("y", true)]),
            ),
        ];
        let filled = [
            ("city", "Lyon"),
            ("phone", "1"),
            ("closedate", "2026-05-02T11:30"),
            ("stage", "b"),
            ("roles", "y"),
            ("unknown", "z"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let changes = changes(&shown, &filled).expect("changes");
        let changes: Vec<_> = changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            changes,
            [
                ("city", "Lyon"),
                ("closedate", "2026-05-02T11:30:00Z"),
                ("stage", "b"),
                ("roles", "y"),
            ]
        );
    }
}
