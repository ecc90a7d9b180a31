//! Variables.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Json, Reader, Writer};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, PropertyName, VariableType},
    store,
    web::{
        error::Error,
        problem::{InputError, Problem},
    },
};

/// The longest name and label, in characters.
const NAME_LENGTH_MAX: usize = 100;

/// Jimo's native attributes, in lower case and without what parts words. They
/// cannot be variables: Jimo and its snippet write them.
const NATIVE: [&str; 15] = [
    "id",
    "jimerid",
    "userid",
    "externalid",
    "name",
    "email",
    "language",
    "firstseen",
    "lastactivity",
    "lastseen",
    "sessions",
    "sessioncount",
    "created",
    "createdat",
    "tags",
];

/// A named, typed slot on users.
#[derive(Debug, Serialize, ToSchema)]
pub struct Variable {
    /// The name it is used by.
    name: String,
    /// What people read, where it differs from the name.
    label: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    variable_type: VariableType,
    /// What feeds it; none where Jimo's own side writes it.
    fed_by: Option<FedBy>,
}

/// What feeds a variable. Nobody else can write it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FedBy {
    /// The connector.
    #[schema(example = "hubspot")]
    kind: String,
    /// The connection.
    connection: ConnectionId,
    /// The object type.
    object_type: ObjectType,
    /// The property.
    property: PropertyName,
}

impl From<store::variables::Variable> for Variable {
    fn from(variable: store::variables::Variable) -> Self {
        Self {
            name: variable.name,
            label: variable.label,
            variable_type: variable.variable_type,
            fed_by: variable.fed_by.map(|fed| FedBy {
                kind: fed.connector,
                connection: fed.connection,
                object_type: fed.object_type,
                property: fed.property,
            }),
        }
    }
}

/// All variables of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Variables {
    /// By name.
    variables: Vec<Variable>,
    /// Always none: they come in one page.
    next: Option<String>,
}

/// A variable to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVariable {
    /// The name it is used by; it never changes.
    name: String,
    /// What people read, where it should differ.
    label: Option<String>,
    /// Its type; it never changes.
    #[serde(rename = "type")]
    variable_type: VariableType,
}

/// The project's variables.
#[utoipa::path(
    get, path = "/projects/{project}/variables", tag = "variables", operation_id = "list_variables",
    params(("project" = String, Path)),
    responses(
        (status = 200, body = Variables),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
) -> Result<axum::Json<Variables>, Error> {
    let variables = host
        .store
        .read(move |tx| tx.variables(reader.project))
        .await?;
    Ok(axum::Json(Variables {
        variables: variables.into_iter().map(Variable::from).collect(),
        next: None,
    }))
}

/// Makes a variable.
#[utoipa::path(
    post, path = "/projects/{project}/variables", tag = "variables", operation_id = "create_variable",
    params(("project" = String, Path)),
    request_body = NewVariable,
    responses(
        (status = 201, body = Variable),
        (status = 409, description = "There is one of that name.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Json(new): Json<NewVariable>,
) -> Result<impl IntoResponse, Error> {
    let mut errors = Vec::new();
    if let Err(detail) = check_name(&new.name) {
        errors.push(InputError::new("/name", detail));
    }
    let label = new.label.filter(|label| !label.trim().is_empty());
    if label
        .as_ref()
        .is_some_and(|label| label.chars().count() > NAME_LENGTH_MAX || !is_plain(label))
    {
        errors.push(InputError::new(
            "/label",
            format!("A label has at most {NAME_LENGTH_MAX} characters, on one line."),
        ));
    }
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let now = host.clock.now();
    let made = host
        .store
        .transact(move |tx| {
            let label = label.as_deref().map(str::trim);
            tx.create_variable(writer.project, &new.name, label, new.variable_type, now)?;
            tx.variable(writer.project, &new.name)?
                .ok_or(store::Error::NotFound("variable"))
        })
        .await?;
    host.pipeline.notify_changed();
    Ok((StatusCode::CREATED, axum::Json(Variable::from(made))))
}

/// Whether a variable may have this name; says why not.
pub fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 || length > NAME_LENGTH_MAX || !is_plain(name) || name.trim() != name {
        return Err(format!(
            "A variable’s name has 1 to {NAME_LENGTH_MAX} characters, on one line, without spaces around it."
        ));
    }
    let lower = name.to_lowercase();
    let bare: String = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ':')
        .collect();
    if NATIVE.contains(&bare.as_str()) || bare.starts_with("user:") || bare.starts_with("jimer:") {
        return Err(format!(
            "{name:?} is a native attribute of Jimo, and cannot be taken: choose another name."
        ));
    }
    Ok(())
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn native_attributes_cannot_be_variables() {
        for name in [
            "email",
            "Email",
            "user_id",
            "User ID",
            "firstSeen",
            "user:name",
            "tags",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["plan", "company_name", "lastName", "contact_email", "éta t"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
