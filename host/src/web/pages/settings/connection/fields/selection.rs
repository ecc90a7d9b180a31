//! Which of several records feeds a user: in plain words, and chosen.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{
    super::super::{
        super::{Error, extract::Path, see_other},
        path,
    },
    draft,
    shown::{Known, selection_words},
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, PropertyName, Selection, SelectionRule, VariableType},
    plugin::{ObjectTypeDescription, Version},
    web::{
        api::mapping_document::{ObjectDocument, RuleDocument, SelectionDocument},
        session::Posted,
    },
};

/// How one of several records of an object type is selected.
pub struct SelectionView {
    /// In a sentence.
    pub sentence: String,
    /// The rules that there are.
    pub rules: Vec<RuleView>,
    /// The number properties that the largest can be told by, each with what
    /// people call it, and whether it is chosen.
    pub numbers: Vec<(PropertyName, String, bool)>,
    /// Whether open records can come first; none where there is no such thing.
    pub prefer_open: Option<bool>,
}

/// A rule that can be chosen.
pub struct RuleView {
    /// Its name in forms.
    pub word: &'static str,
    /// In plain words.
    pub words: String,
    pub is_chosen: bool,
    /// What else is to be known.
    pub hint: Option<&'static str>,
}

impl SelectionView {
    /// Of an object type; none where matches decide.
    pub fn new(
        described: &ObjectTypeDescription,
        object: &ObjectDocument,
        known: Option<&Known>,
        can_be_open: bool,
    ) -> Option<Self> {
        let (rule, property, prefer_open) = chosen(described, object)?;
        let singular = described.singular_label.to_lowercase();
        let numbers: Vec<_> = known
            .into_iter()
            .flat_map(|known| &known.properties)
            .filter(|one| one.property_type == "number")
            .filter(|one| one.variable_types.contains(&VariableType::Number))
            .map(|one| {
                let is_chosen = Some(&one.name) == property.as_ref();
                (one.name.clone(), one.label.clone(), is_chosen)
            })
            .collect();
        let by = numbers.iter().find(|(_, _, is_chosen)| *is_chosen);
        let by = by.map(|(_, label, _)| label.clone());
        let by = by.or_else(|| property.as_ref().map(ToString::to_string));
        let mut sentence = match (rule, by) {
            (SelectionRule::Largest, Some(by)) => format!("The {singular} with the largest {by}"),
            (rule, _) => selection_words(rule, &singular),
        };
        if prefer_open {
            sentence.push_str("; open ones first");
        }
        let offers_open = prefer_open || can_be_open;
        Some(Self {
            sentence,
            rules: described
                .selections
                .iter()
                .map(|one| RuleView {
                    word: one.as_str(),
                    words: selection_words(*one, &singular),
                    is_chosen: *one == rule,
                    hint: (*one == SelectionRule::Primary)
                        .then_some("As HubSpot marks it; where it marks none, the oldest."),
                })
                .collect(),
            numbers,
            prefer_open: offers_open.then_some(prefer_open),
        })
    }
}

/// The rule in force; none where the object type has none.
fn chosen(
    described: &ObjectTypeDescription,
    object: &ObjectDocument,
) -> Option<(SelectionRule, Option<PropertyName>, bool)> {
    match &object.selection {
        None => Some((described.selections.first().copied()?, None, false)),
        Some(SelectionDocument::Name(rule)) => Some((*rule, None, false)),
        Some(SelectionDocument::Rule(rule)) => {
            Some((rule.rule, rule.property.clone(), rule.prefer_open))
        }
    }
}

/// Whether records of a type are open or closed, as the plugin knows. Runs the
/// plugin: not for a thread of the runtime.
pub fn can_prefer_open(described: &ObjectTypeDescription, plugin: &Version) -> bool {
    let Some(rule) = described.selections.first() else {
        return false;
    };
    let selection = Selection {
        rule: *rule,
        property: None,
        prefer_open: true,
    };
    let needs = plugin.needs(&described.name, None, Some(&selection));
    needs.is_ok_and(|needs| needs.is_ok())
}

/// How one of several is to be selected.
#[derive(serde::Deserialize)]
pub struct SelectionForm {
    object_type: ObjectType,
    rule: SelectionRule,
    property: Option<PropertyName>,
    #[serde(default)]
    prefer_open: bool,
}

/// `POST …/fields/selection`.
pub async fn choose(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<SelectionForm>,
) -> Result<Response, Error> {
    let form = posted.form;
    let ranks = form.rule == SelectionRule::Largest;
    let property = form
        .property
        .filter(|name| ranks && !name.as_str().is_empty());
    if ranks && property.is_none() {
        return Err(Error::Refused(
            "Choose the number by which the largest is told.".to_owned(),
        ));
    }
    draft::edit(&host, &posted.session, id, move |document, _| {
        if let Some(object) = document.get_mut(&form.object_type) {
            object.selection = Some(SelectionDocument::Rule(RuleDocument {
                rule: form.rule,
                property,
                prefer_open: form.prefer_open,
            }));
        }
    })
    .await?;
    Ok(see_other(&path(id, "/fields")))
}
