//! A user as Jimo's own side writes it: read and checked.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use utoipa::ToSchema;

use super::{extract::read_part, values};
use crate::{
    model::{KeyKind, VariableId, normalise},
    pipeline::arrivals,
    store::variables::Variable,
    web::{
        error::Error,
        problem::{InputError, step},
    },
};

/// The longest external id and name, in characters; an e-mail address has 254
/// at most (RFC 5321 §4.5.3).
const TEXT_LENGTH_MAX: usize = 255;

/// A user to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserItem {
    /// The customer's own id of the user. It identifies, where it is given.
    external_id: Option<String>,
    /// The e-mail address. It identifies, where there is no external id.
    email: Option<String>,
    /// The name.
    name: Option<String>,
    /// Values by variable; `null` clears one.
    #[serde(default)]
    variables: BTreeMap<String, serde_json::Value>,
}

/// Reads and checks an item that stands at `pointer`; else says all that is
/// wrong with it.
pub fn read(
    item: serde_json::Value,
    pointer: &str,
    variables: &HashMap<&str, &Variable>,
) -> Result<arrivals::UserItem, Vec<InputError>> {
    let item: UserItem = match read_part(item, pointer) {
        Ok(item) => item,
        Err(Error::Invalid(errors)) => return Err(errors),
        Err(other) => return Err(vec![InputError::new(pointer, other.detail())]),
    };
    let mut errors = Vec::new();
    let mut text = |name: &str, given: Option<String>| -> Option<String> {
        let text = given?.trim().to_owned();
        let length = text.chars().count();
        if length == 0 || length > TEXT_LENGTH_MAX || text.chars().any(char::is_control) {
            errors.push(InputError::new(
                format!("{pointer}/{name}"),
                format!("This has 1 to {TEXT_LENGTH_MAX} characters, on one line; leave it out where there is none."),
            ));
            return None;
        }
        Some(text)
    };
    let external_id = text("external_id", item.external_id);
    let email = text("email", item.email);
    let name = text("name", item.name);
    if email.as_deref().is_some_and(|email| !is_address(email)) {
        errors.push(InputError::new(
            format!("{pointer}/email"),
            "This is no e-mail address.",
        ));
    }
    let mut written = Vec::new();
    for (name, value) in &item.variables {
        match read_value(name, value, variables) {
            Ok(value) => written.push(value),
            Err(detail) => errors.push(InputError::new(
                format!("{pointer}/variables/{}", step(name)),
                detail,
            )),
        }
    }
    if errors.is_empty() && external_id.is_none() && email.is_none() {
        let detail = arrivals::Refusal::Unidentified.to_string();
        errors.push(InputError::new(pointer, detail));
    }
    if errors.is_empty() {
        Ok(arrivals::UserItem {
            external_id,
            email,
            name,
            variables: written,
        })
    } else {
        Err(errors)
    }
}

fn read_value(
    name: &str,
    value: &serde_json::Value,
    variables: &HashMap<&str, &Variable>,
) -> Result<(VariableId, Option<crate::model::Value>), String> {
    let variable = variables
        .get(name)
        .ok_or("There is no such variable: make it first, with its type.")?;
    if let Some(fed) = &variable.fed_by {
        return Err(format!(
            "{} feeds this variable ({}.{} of connection {}); nobody else can write it.",
            connector_label(&fed.connector),
            fed.object_type,
            fed.property,
            fed.connection
        ));
    }
    Ok((
        variable.id,
        values::from_json(value, variable.variable_type)?,
    ))
}

/// What people call a connector, where its plugin is not at hand.
pub fn connector_label(connector: &str) -> &str {
    match connector {
        "hubspot" => "HubSpot",
        other => other,
    }
}

/// Whether a text can be an address. Which addresses exist, nobody can say:
/// this refuses only what cannot be compared.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !text.chars().any(char::is_whitespace)
        && normalise(KeyKind::Email, text).is_some()
}
