//! The variables of checked mappings: found, or made.

use std::collections::BTreeSet;

use super::mapping_check::{Draft, DraftField};
use crate::{
    model::{
        ConnectionId, FieldMapping, ObjectMapping, ProjectId, Timestamp, UserIdentifier,
        VariableId, VariableType,
    },
    store::{self, Tx, variables::Variable},
    web::problem::InputError,
};

/// Finds the drafts' variables, and makes those that are new. Makes nothing
/// where anything is wrong.
pub fn resolve(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    drafts: Vec<Draft>,
    now: Timestamp,
) -> Result<Result<Vec<ObjectMapping>, Vec<InputError>>, store::Error> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    let matched = matched_elsewhere(tx, project, connection)?;
    for field in drafts.iter().flat_map(|draft| &draft.fields) {
        if !names.insert(&field.name) {
            errors.push(InputError::new(
                format!("{}/variable", field.pointer),
                format!(
                    "{:?} is fed by another field already; it has one source.",
                    field.name
                ),
            ));
        }
        errors.extend(check_field(tx, project, connection, field, &matched)?);
    }
    for draft in &drafts {
        errors.extend(check_matched(tx, project, connection, draft, &names)?);
    }
    if !errors.is_empty() {
        return Ok(Err(errors));
    }
    let mut mappings = Vec::new();
    for mut draft in drafts {
        for field in draft.fields {
            let variable = match tx.variable(project, &field.name)? {
                Some(variable) => (variable.id, variable.variable_type),
                None => {
                    let made = field.asked_type.unwrap_or(field.mapping.target);
                    (
                        tx.create_variable(project, &field.name, None, made, now)?,
                        made,
                    )
                }
            };
            draft.mapping.fields.push(FieldMapping {
                variable: Some(variable.0),
                target: variable.1,
                ..field.mapping
            });
        }
        if let (Some(name), Some(rule)) = (&draft.matched_variable, &mut draft.mapping.matching)
            && let Some(variable) = tx.variable(project, name)?
        {
            rule.identifier = UserIdentifier::Variable(variable.id);
        }
        mappings.push(draft.mapping);
    }
    Ok(Ok(mappings))
}

/// The drafts' variables that hold values of Jimo's own side, which HubSpot's
/// would replace.
pub fn used(
    tx: &Tx<'_>,
    project: ProjectId,
    drafts: &[Draft],
) -> Result<BTreeSet<VariableId>, store::Error> {
    let mut used = BTreeSet::new();
    for field in drafts.iter().flat_map(|draft| &draft.fields) {
        if let Some(held) = tx.variable(project, &field.name)?
            && held.fed_by.is_none()
            && tx.variable_is_used(project, held.id)?
        {
            used.insert(held.id);
        }
    }
    Ok(used)
}

fn check_field(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    field: &DraftField,
    matched: &BTreeSet<VariableId>,
) -> Result<Option<InputError>, store::Error> {
    let held = tx.variable(project, &field.name)?;
    let target = held.as_ref().map(|variable| variable.variable_type);
    if let (Some(held), Some(asked)) = (target, field.asked_type)
        && held != asked
    {
        return Ok(Some(InputError::new(
            format!("{}/type", field.pointer),
            format!("{:?} is a {held} variable already.", field.name),
        )));
    }
    let target = target.or(field.asked_type).unwrap_or(field.mapping.target);
    if !field.possible.contains(&target) {
        // The asked type is at fault where the variable is still to be made.
        let place = match (&held, field.asked_type) {
            (None, Some(_)) => "type",
            _ => "variable",
        };
        let possible: Vec<&str> = field.possible.iter().map(|one| one.as_str()).collect();
        return Ok(Some(InputError::new(
            format!("{}/{place}", field.pointer),
            format!(
                "{} cannot become a {target} variable, only {}.",
                field.mapping.property.name,
                possible.join(" or ")
            ),
        )));
    }
    let Some(held) = held else { return Ok(None) };
    let pointer = format!("{}/variable", field.pointer);
    if matched.contains(&held.id) {
        return Ok(Some(InputError::new(
            pointer,
            format!(
                "Another connection matches users on {:?}, so HubSpot cannot feed it.",
                field.name
            ),
        )));
    }
    match held.fed_by {
        Some(fed) if fed.connection != connection => Ok(Some(InputError::new(
            pointer,
            format!(
                "{:?} is fed by {} of another connection; a variable has one source.",
                field.name, fed.property
            ),
        ))),
        Some(_) => Ok(None),
        None if !field.take_over && is_taken_over(tx, project, &held)? => {
            Ok(Some(InputError::new(
                pointer,
                format!(
                    "{:?} holds values that HubSpot’s would replace: say `take_over` if it should.",
                    field.name
                ),
            )))
        }
        None => Ok(None),
    }
}

/// Whether feeding a variable takes it over from Jimo's own side: it has values,
/// and nothing feeds it.
pub fn is_taken_over(
    tx: &Tx<'_>,
    project: ProjectId,
    variable: &Variable,
) -> Result<bool, store::Error> {
    Ok(variable.fed_by.is_none() && tx.variable_is_used(project, variable.id)?)
}

/// The variables that the project's other connections match users on.
fn matched_elsewhere(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
) -> Result<BTreeSet<VariableId>, store::Error> {
    let mut matched = BTreeSet::new();
    for other in tx.connections(project)? {
        if other.id == connection {
            continue;
        }
        for mapping in tx.mappings(other.id)? {
            if let Some(UserIdentifier::Variable(id)) = mapping.matching.map(|rule| rule.identifier)
            {
                matched.insert(id);
            }
        }
    }
    Ok(matched)
}

/// Checks that users can be matched on the variable that a rule names.
fn check_matched(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    draft: &Draft,
    fed_here: &BTreeSet<&String>,
) -> Result<Option<InputError>, store::Error> {
    let Some(name) = &draft.matched_variable else {
        return Ok(None);
    };
    let wrong = |detail: String| {
        let pointer = format!("{}/matching/user", draft.pointer);
        Ok(Some(InputError::new(pointer, detail)))
    };
    let Some(variable) = tx.variable(project, name)? else {
        return wrong(format!("There is no variable {name:?}."));
    };
    let fed_elsewhere = variable
        .fed_by
        .is_some_and(|fed| fed.connection != connection);
    if fed_elsewhere || fed_here.contains(name) {
        return wrong(format!(
            "{name:?} is fed by HubSpot itself, so nothing can be matched on it."
        ));
    }
    match variable.variable_type {
        VariableType::Text | VariableType::Number => Ok(None),
        other => wrong(format!(
            "{name:?} is a {other} variable; users are matched on text or numbers."
        )),
    }
}
