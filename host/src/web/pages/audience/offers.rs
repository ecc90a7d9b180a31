//! What a rule can be made of: the attributes, operators and values on offer.

use super::draft::{self, Rule, SEGMENT, Takes};
use crate::{
    model::{ProjectId, SegmentId, Shown, VariableType, condition::Attribute, fold},
    store::{self, Tx, variables::Variable},
    web::{
        api::{condition_document::Known, segments, user_items::connector_label},
        pages::format::type_name,
    },
};

/// An attribute on offer.
pub struct Offer {
    /// What the form says.
    pub value: String,
    /// What people read.
    pub label: String,
    /// Its type.
    pub of: VariableType,
    /// The connector that feeds it.
    pub connector: Option<String>,
    variable: Option<Variable>,
}

impl Offer {
    /// Which connector feeds it, in words.
    pub fn synced_from(&self) -> Option<String> {
        let connector = self.connector.as_deref()?;
        Some(format!("Synced from {}", connector_label(connector)))
    }
}

/// Attributes of one kind.
pub struct Kind {
    /// What they are.
    pub label: String,
    /// Each of them.
    pub offers: Vec<Offer>,
}

/// Everything on offer in a project.
pub struct Offers {
    /// Attributes by their kind.
    pub kinds: Vec<Kind>,
    /// The other segments, by name.
    pub segments: Vec<(SegmentId, String)>,
    /// What conditions can name.
    pub known: Known,
}

impl Offers {
    /// What a segment's conditions (`of`, where there is one already) can be made
    /// of.
    pub fn load(
        tx: &Tx<'_>,
        project: ProjectId,
        of: Option<SegmentId>,
    ) -> Result<Self, store::Error> {
        let known = segments::known(tx, project)?;
        let native = Attribute::NATIVE.into_iter().filter_map(|attribute| {
            let (name, label) = match attribute {
                Attribute::Email => ("email", "Email"),
                Attribute::Name => ("name", "Name"),
                Attribute::ExternalId => ("external_id", "User ID"),
                Attribute::CreatedAt => ("created_at", "Created"),
                Attribute::Variable(_) => return None,
            };
            Some(Offer {
                value: draft::attribute(name),
                label: label.to_owned(),
                of: attribute.native_type()?,
                connector: None,
                variable: None,
            })
        });
        let (synced, own): (Vec<Variable>, Vec<Variable>) = tx
            .variables(project)?
            .into_iter()
            .partition(|variable| variable.fed_by.is_some());
        let offer = |variable: Variable| Offer {
            value: draft::attribute(&variable.name),
            label: variable
                .label
                .clone()
                .unwrap_or_else(|| variable.name.clone()),
            of: variable.variable_type,
            connector: variable.fed_by.as_ref().map(|fed| fed.connector.clone()),
            variable: Some(variable),
        };
        let mut kinds = vec![("Native".to_owned(), native.collect::<Vec<_>>())];
        for offer in synced.into_iter().map(offer) {
            let label = offer.synced_from().unwrap_or_default();
            match kinds.iter_mut().find(|(of, _)| *of == label) {
                Some((_, offers)) => offers.push(offer),
                None => kinds.push((label, vec![offer])),
            }
        }
        kinds.push(("Custom".to_owned(), own.into_iter().map(offer).collect()));
        let others = known.segments().besides(of);
        Ok(Self {
            kinds: kinds
                .into_iter()
                .filter(|(_, offers)| !offers.is_empty())
                .map(|(label, offers)| Kind { label, offers })
                .collect(),
            segments: others,
            known,
        })
    }

    /// The attribute that a rule names.
    pub fn of(&self, rule: &Rule) -> Option<&Offer> {
        let mut offers = self.kinds.iter().flat_map(|kind| &kind.offers);
        offers.find(|offer| offer.value == rule.attribute)
    }

    /// The type of a rule's attribute.
    pub fn type_of(&self, rule: &Rule) -> Option<VariableType> {
        self.of(rule).map(|offer| offer.of)
    }

    /// Makes a rule's operator one of its attribute's: what was chosen before
    /// another attribute was says nothing about that.
    pub fn settle(&self, rule: &mut Rule) {
        let operators = self.operators(rule);
        if operators.iter().any(|(word, _)| *word == rule.operator) {
            return;
        }
        rule.values.clear();
        let first = operators.first().map_or("", |(word, _)| word);
        rule.operator = first.to_owned();
    }

    /// The operators of a rule's attribute, with the words people read.
    pub fn operators(&self, rule: &Rule) -> &'static [(&'static str, &'static str)] {
        if rule.attribute == SEGMENT {
            return &[("in", "is in"), ("not_in", "is not in")];
        }
        match self.type_of(rule) {
            None => &[],
            Some(VariableType::Text) => &[
                ("is", "is"),
                ("is_not", "is not"),
                ("contains", "contains"),
                ("not_contains", "does not contain"),
                ("starts_with", "starts with"),
                ("not_starts_with", "does not start with"),
                ("ends_with", "ends with"),
                ("not_ends_with", "does not end with"),
                ("is_one_of", "is one of"),
                ("not_one_of", "is not one of"),
                ("is_empty", "is empty"),
                ("not_empty", "is not empty"),
            ],
            Some(VariableType::Number) => &[
                ("=", "equals (=)"),
                ("!=", "does not equal (≠)"),
                ("<", "is less than (<)"),
                ("<=", "is at most (≤)"),
                (">", "is greater than (>)"),
                (">=", "is at least (≥)"),
                ("between", "is between"),
                ("is_empty", "is empty"),
                ("not_empty", "is not empty"),
            ],
            Some(VariableType::Date | VariableType::Datetime) => &[
                ("=", "is on (=)"),
                ("!=", "is not on (≠)"),
                ("<", "is before (<)"),
                ("<=", "is on or before (≤)"),
                (">", "is after (>)"),
                (">=", "is on or after (≥)"),
                ("between", "is between"),
                ("in_last_days", "is in the last"),
                ("in_next_days", "is in the next"),
                ("is_empty", "is empty"),
                ("not_empty", "is not empty"),
            ],
            Some(VariableType::Boolean) => &[
                ("is_true", "is true"),
                ("is_false", "is false"),
                ("is_empty", "is empty"),
                ("not_empty", "is not empty"),
            ],
            Some(VariableType::List) => &[
                ("contains_any", "contains any of"),
                ("contains_all", "contains all of"),
                ("contains_none", "contains none of"),
                ("is_empty", "is empty"),
                ("not_empty", "is not empty"),
            ],
        }
    }

    /// What a rule's values are filled in with.
    pub fn control(
        &self,
        tx: &Tx<'_>,
        project: ProjectId,
        rule: &Rule,
    ) -> Result<Control, store::Error> {
        if rule.attribute == SEGMENT {
            let segments = self.segments.iter();
            let choices = segments.map(|(id, name)| (id.to_string(), name.clone()));
            return Ok(Control::One(chosen(choices.collect(), &rule.values)));
        }
        let Some(offer) = self.of(rule) else {
            return Ok(Control::Nothing);
        };
        let is_whole = matches!(rule.operator.as_str(), "is" | "is_not");
        Ok(match rule.takes() {
            Takes::Nothing => Control::Nothing,
            Takes::Days => Control::Days,
            Takes::Two => Control::Two(field(offer.of, rule)),
            Takes::One if is_whole => match choices(tx, project, offer)? {
                Some(choices) => Control::One(chosen(choices, &rule.values)),
                None => Control::Field(field(offer.of, rule)),
            },
            Takes::One => Control::Field(field(offer.of, rule)),
            Takes::Many => match choices(tx, project, offer)? {
                Some(choices) => Control::Several(chosen(choices, &rule.texts())),
                None => Control::Lines,
            },
        })
    }
}

/// What values are filled in with.
pub enum Control {
    /// There are none.
    Nothing,
    /// One text field, of a kind.
    Field(&'static str),
    /// Two of them.
    Two(&'static str),
    /// A number of days.
    Days,
    /// A text, of which each line is a value.
    Lines,
    /// One of several choices: value, label, and whether it is chosen.
    One(Vec<(String, String, bool)>),
    /// Some of several choices.
    Several(Vec<(String, String, bool)>),
}

fn field(of: VariableType, rule: &Rule) -> &'static str {
    // A moment that the API was given is shown as it is.
    let is_moment = rule.values.iter().any(|value| value.contains('T'));
    match of {
        VariableType::Number => "number",
        VariableType::Date => "date",
        VariableType::Datetime if !is_moment => "date",
        _ => "text",
    }
}

/// Choices with those that are chosen marked, whatever their case, and whether
/// they are known or not.
fn chosen(mut choices: Vec<(String, String)>, values: &[String]) -> Vec<(String, String, bool)> {
    let is_same = |one: &str, other: &str| fold(one) == fold(other);
    for value in values.iter().filter(|value| !value.is_empty()) {
        if !choices.iter().any(|(known, _)| is_same(known, value)) {
            choices.push((value.clone(), value.clone()));
        }
    }
    let marked = choices.into_iter().map(|(value, label)| {
        let is_chosen = values.iter().any(|chosen| is_same(chosen, &value));
        (value, label, is_chosen)
    });
    marked.collect()
}

/// The values that an attribute has by the definition of the property that feeds
/// it, with the words people read; none where that has no such list.
fn choices(
    tx: &Tx<'_>,
    project: ProjectId,
    offer: &Offer,
) -> Result<Option<Vec<(String, String)>>, store::Error> {
    let variable = offer.variable.as_ref();
    let Some(fed) = variable.and_then(|variable| variable.fed_by.as_ref()) else {
        return Ok(None);
    };
    let Some((account, _)) = tx.connection(project, fed.connection)?.account else {
        return Ok(None);
    };
    let Some(table) = tx.options(account, &fed.object_type, &fed.property)? else {
        return Ok(None);
    };
    let mappings = tx.mappings(fed.connection)?;
    let mut fields = mappings.iter().flat_map(|mapping| &mapping.fields);
    let shows_labels = fields
        .find(|field| field.id == fed.field)
        .is_some_and(|field| field.show == Shown::Label);
    let mut choices: Vec<(String, String)> = Vec::new();
    for choice in table.choices {
        let value = match shows_labels {
            true => choice.label.clone(),
            false => choice.value,
        };
        // Several choices may have one label.
        if !choices.iter().any(|(known, _)| *known == value) {
            choices.push((value, choice.label));
        }
    }
    Ok((!choices.is_empty()).then_some(choices))
}

/// What stands beside an attribute: its type.
pub fn type_label(of: Option<VariableType>) -> &'static str {
    of.map_or("", type_name)
}
