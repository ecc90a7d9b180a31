//! A connection that maps as is wanted, for as long as a transaction lasts that
//! is undone.
//!
//! It has no account and variables of its own, so nothing that is there stands
//! in its way, and nothing that is there is read or changed for it.

use std::collections::BTreeMap;

use super::{super::lookup_batches::key_kind, Wanted};
use crate::{
    model::{FieldMapping, ProjectId, Timestamp, UserId, UserIdentifier, VariableId},
    pipeline::{arrivals::key_text, routing::ConnectionRoute},
    store::{self, Tx},
};

/// What the connection, and its variables, are called: no name that
/// people give has such a character.
const NAME: &str = "\u{1}preview";

/// Makes the connection.
pub(super) fn lay(
    tx: &Tx<'_>,
    wanted: &Wanted,
    users: &[UserId],
    now: Timestamp,
) -> Result<ConnectionRoute, store::Error> {
    let (project, account, new) = (wanted.project, wanted.account, &wanted.new);
    let id = tx.create_connection(project, NAME, now)?;
    for (object_type, property, table) in &new.options {
        tx.save_options(account, object_type, property, table, new.options_read_at)?;
    }
    let mut variables = 0;
    for mapping in &new.mappings {
        let mapping_id = tx.save_mapping(id, mapping)?;
        for field in &mapping.fields {
            let variable = match field.variable {
                None => None,
                Some(_) => {
                    variables += 1;
                    let name = format!("{NAME} {variables}");
                    Some(tx.create_variable(project, &name, None, field.target, now)?)
                }
            };
            let field = FieldMapping {
                variable,
                ..field.clone()
            };
            tx.add_field(mapping_id, &field)?;
        }
        let rule = mapping.matching.as_ref();
        if let Some(UserIdentifier::Variable(variable)) = rule.map(|rule| rule.identifier) {
            index(tx, project, variable, users)?;
        }
    }
    ConnectionRoute::of_account(tx, &tx.connection(project, id)?, account)
}

/// Lets the users be found by a variable.
fn index(
    tx: &Tx<'_>,
    project: ProjectId,
    variable: VariableId,
    users: &[UserId],
) -> Result<(), store::Error> {
    let Some(variable) = tx.variable_by_id(project, variable)? else {
        return Ok(());
    };
    let identifier = UserIdentifier::Variable(variable.id);
    for user in users {
        let value = tx.value(*user, &variable)?;
        let text = value.as_ref().and_then(key_text);
        tx.set_user_keys(project, *user, identifier, text.as_deref())?;
    }
    Ok(())
}

/// By what the users are asked for, for each mapping that is matched itself.
pub(super) fn keys(
    tx: &Tx<'_>,
    route: &ConnectionRoute,
    users: &[UserId],
) -> Result<BTreeMap<usize, Vec<(UserId, String)>>, store::Error> {
    let mut keys = BTreeMap::new();
    for (index, mapping) in route.mappings.iter().enumerate() {
        let Some(rule) = &mapping.matching else {
            continue;
        };
        let kind = key_kind(rule);
        let mut of_mapping = Vec::new();
        for user in users {
            let forms = tx.user_keys(*user, rule.identifier)?;
            let text = forms.into_iter().find(|(form, _)| *form == kind);
            of_mapping.extend(text.map(|(_, text)| (*user, text)));
        }
        keys.insert(index, of_mapping);
    }
    Ok(keys)
}
