//! What can be mapped: the connector's object types, and the account's
//! properties.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    connections,
    extract::{Path, Query, Reader},
    mapping_choices,
};
use crate::{
    host::Host,
    hubspot::{ChoicesAt, OWNERS_SCOPE},
    model::{
        AccountId, ConnectionId, ObjectType, ProjectId, PropertyName, SelectionRule, VariableType,
    },
    plugin::ObjectTypeDescription,
    store,
    sync::{
        choices::Untold,
        definitions::{self, Definition},
    },
    web::{error::Error, problem::Problem},
};

/// A type of record that can be mapped.
#[derive(Debug, Serialize, ToSchema)]
pub struct MappableType {
    /// Its name, in mappings.
    name: ObjectType,
    /// What people read.
    label: String,
    /// How its records may reach users.
    matching: Matching,
    /// How one of several is selected, the default first; none where matches
    /// decide.
    selections: Vec<SelectionRule>,
}

/// How records may reach users.
#[derive(Debug, Serialize, ToSchema)]
pub struct Matching {
    /// The property that is matched on when nothing is said; none where they
    /// follow another object type then.
    default_property: Option<PropertyName>,
    /// The object types whose associations they may follow.
    through: Vec<ObjectType>,
}

impl From<&ObjectTypeDescription> for MappableType {
    fn from(said: &ObjectTypeDescription) -> Self {
        Self {
            name: said.name.clone(),
            label: said.label.clone(),
            matching: Matching {
                default_property: said.default_match.as_ref().map(|one| one.property.clone()),
                through: said.through.clone(),
            },
            selections: said.selections.clone(),
        }
    }
}

/// A property of the account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Property {
    /// HubSpot's internal name.
    pub name: PropertyName,
    /// What people read.
    pub label: String,
    /// HubSpot's word for its type.
    #[serde(rename = "type")]
    pub property_type: String,
    /// HubSpot's word for how it is entered.
    pub field_type: String,
    /// Its choices; none are listed of one whose values are owners.
    pub options: Vec<Choice>,
    /// Whether the labels of its choices can be shown; none where it has none.
    pub labels: Option<Labels>,
    /// The group it is shown in.
    pub group: String,
    /// Whether HubSpot computes it: it changes without a word.
    pub calculated: bool,
    /// Whether its values are hidden from us.
    pub sensitive: bool,
    /// Whether no two records have the same value.
    pub unique: bool,
    /// Whether HubSpot does not show it to people.
    #[serde(skip)]
    pub hidden: bool,
    /// The type of variable to make for it; none where it cannot be mapped.
    pub suggested_variable_type: Option<VariableType>,
    /// All types of variable that it can be converted to.
    pub variable_types: Vec<VariableType>,
}

/// Whether labels can be shown in place of internal values.
#[derive(Debug, Serialize, ToSchema)]
pub struct Labels {
    /// Whether a mapping may say `"show": "label"`.
    pub available: bool,
    /// Why not, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A choice of a property.
#[derive(Debug, Serialize, ToSchema)]
pub struct Choice {
    /// The internal value.
    pub value: String,
    /// What people read.
    pub label: String,
}

impl From<Definition> for Property {
    fn from(definition: Definition) -> Self {
        let Definition {
            property, suitable, ..
        } = definition;
        Self {
            sensitive: property.is_sensitive(),
            name: property.name,
            label: property.label,
            property_type: property.property_type,
            field_type: property.field_type,
            options: property
                .options
                .into_iter()
                .map(|option| Choice {
                    value: option.value,
                    label: option.label,
                })
                .collect(),
            labels: None,
            group: property.group,
            calculated: property.calculated,
            unique: property.unique,
            hidden: property.hidden,
            suggested_variable_type: suitable.suggested,
            variable_types: suitable.possible,
        }
    }
}

/// Whose properties.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PropertiesQuery {
    /// The object type.
    #[param(value_type = String, example = "contacts")]
    object_type: ObjectType,
}

/// The object types that can be mapped.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/object-types",
    tag = "mappings", operation_id = "list_object_types",
    params(("project" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = Vec<MappableType>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn object_types(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
) -> Result<axum::Json<Vec<MappableType>>, Error> {
    let plugin = connections::plugin(&host, reader.project, id).await?;
    let types = plugin.description().object_types.iter();
    Ok(axum::Json(types.map(MappableType::from).collect()))
}

/// The account's properties of an object type, by name, as HubSpot defined them
/// at some moment of the last minute.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/properties",
    tag = "mappings", operation_id = "list_properties",
    params(("project" = String, Path), ("connection" = String, Path), PropertiesQuery),
    responses(
        (status = 200, body = Vec<Property>),
        (status = 502, description = "HubSpot could not answer.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<PropertiesQuery>,
) -> Result<axum::Json<Vec<Property>>, Error> {
    of(&host, reader.project, id, &query.object_type)
        .await
        .map(axum::Json)
}

/// The properties of an object type, by name, as HubSpot defined them at some
/// moment of the last minute.
pub async fn of(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    object_type: &ObjectType,
) -> Result<Vec<Property>, Error> {
    let account = account(host, project, id).await?;
    let plugin = connections::plugin(host, project, id).await?;
    if plugin.description().object_type(object_type).is_none() {
        return Err(Error::NotFound("object type"));
    }
    let definitions = definitions::of(host, account, object_type, None).await?;
    let grant = host.store.read(move |tx| tx.grant(account)).await?;
    let scopes = grant.map_or_else(Vec::new, |grant| grant.scopes);
    let labels: Vec<_> = definitions
        .iter()
        .map(|definition| labels(definition, &scopes))
        .collect();
    let properties = definitions.into_iter().zip(labels);
    let properties = properties.map(|(definition, labels)| Property {
        labels,
        ..Property::from(definition)
    });
    Ok(properties.collect())
}

/// Whether a property's labels can be shown, by what the account granted.
fn labels(definition: &Definition, scopes: &[String]) -> Option<Labels> {
    let property = &definition.property;
    let at = definition.choices_at?;
    let lacks = at == ChoicesAt::Owners && !scopes.iter().any(|scope| scope == OWNERS_SCOPE);
    let why = lacks.then(|| {
        let missing = Untold::MissingScopes(vec![OWNERS_SCOPE.to_owned()]);
        mapping_choices::detail(&property.name, &missing)
    });
    Some(Labels {
        available: !lacks,
        why,
    })
}

/// The account of a connection, once an admin has consented.
pub async fn account(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
) -> Result<AccountId, Error> {
    match connections::of(host, project, id).await?.account {
        Some((account, _)) => Ok(account),
        None => Err(store::Error::Conflict(
            "the connection waits for an admin of the HubSpot account to consent".into(),
        )
        .into()),
    }
}
