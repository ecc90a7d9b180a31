//! Saving mappings: what is added begins empty, what is removed lets go of what
//! it fed, what is converted or selected in another way is so behind, and nothing is
//! backfilled.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{arrivals::Arrivals, routing::ConnectionRoute};
use crate::{
    model::{
        AccountId, ConnectionId, FieldMapping, ObjectMapping, ObjectType, OptionTable, ProjectId,
        PropertyName, Status, Timestamp, UserIdentifier, VariableId, VariableType,
    },
    secrets::Keys,
    store::{self, Tx},
};

/// Mappings that were checked and can be saved. Ids of mappings and fields in
/// it mean nothing; they are found or made.
#[derive(Clone, Debug)]
pub struct NewMappings {
    /// The object mappings.
    pub mappings: Vec<ObjectMapping>,
    /// The choices of properties whose labels are shown, or that a selection
    /// depends on.
    pub options: Vec<(ObjectType, PropertyName, OptionTable)>,
    /// When the choices began to be read.
    pub options_read_at: Timestamp,
}

/// What a mapping's field is told apart by: the same again is the same field.
type FieldIdentity = (PropertyName, Option<VariableId>, VariableType);

/// Replaces a connection's mappings. `keep` says what becomes of the values of
/// what is removed: ordinary Jimo values, or nothing.
pub fn save(
    tx: &Tx<'_>,
    keys: &Keys,
    (project, connection, account): (ProjectId, ConnectionId, AccountId),
    new: &NewMappings,
    keep: bool,
    now: Timestamp,
) -> Result<(), store::Error> {
    let before = ConnectionRoute::load(tx, connection, project, account)?;
    for (object_type, property, table) in &new.options {
        tx.save_options(account, object_type, property, table, new.options_read_at)?;
    }
    for old in &before.mappings {
        let wanted = new
            .mappings
            .iter()
            .find(|mapping| mapping.object_type == old.object_type);
        let same_rule = wanted
            .is_some_and(|wanted| wanted.matching == old.matching && wanted.through == old.through);
        let kept: HashSet<FieldIdentity> = wanted
            .into_iter()
            .flat_map(|wanted| &wanted.fields)
            .map(identity)
            .collect();
        let gone = |field: &&FieldMapping| !kept.contains(&identity(field));
        // Values of fields that stay come first: `feeds` is how they are found.
        let stay = old.fields.iter().filter(|field| !gone(field));
        for field in stay.filter(|_| !same_rule) {
            if let Some(variable) = field.variable {
                tx.release_values(old.id, field.id, variable, keep)?;
            }
        }
        if !same_rule {
            drop_links(tx, &before, old, keep)?;
            // Nobody may be found by the old rule any more.
            tx.drop_lookups(connection, &old.object_type)?;
        }
        let gone: Vec<FieldMapping> = old.fields.iter().filter(gone).cloned().collect();
        let of = Some((connection, &old.object_type));
        tx.release_fields(project, of, &gone, keep)?;
        if wanted.is_none() {
            tx.remove_mapping(old.id)?;
        }
    }
    let mut follows = Vec::new();
    for wanted in &new.mappings {
        let old = before
            .mappings
            .iter()
            .find(|old| old.object_type == wanted.object_type);
        let id = tx.save_mapping(connection, wanted)?;
        let held: HashMap<FieldIdentity, &FieldMapping> = old
            .into_iter()
            .flat_map(|old| &old.fields)
            .map(|field| (identity(field), field))
            .collect();
        for field in &wanted.fields {
            match held.get(&identity(field)) {
                None => {
                    let field = FieldMapping {
                        saved_at: now,
                        ..field.clone()
                    };
                    tx.add_field(id, &field)?;
                }
                Some(same) if same.property != field.property || same.show != field.show => {
                    tx.change_field(same.id, field)?;
                }
                Some(_) => {}
            }
        }
        let was_through = old.and_then(|old| old.through.as_ref());
        if let Some(through) = wanted
            .through
            .as_ref()
            .filter(|through| was_through != Some(through))
        {
            follows.push((through.clone(), wanted.object_type.clone()));
        }
        if old.is_some_and(|old| old.selection != wanted.selection) {
            let linked = wanted.through.as_ref().unwrap_or(&wanted.object_type);
            tx.request_reselections(id, connection, linked)?;
        }
    }
    tx.mappings_saved(connection)?;
    try_again(tx, project, connection, account)?;

    let after = ConnectionRoute::load(tx, connection, project, account)?;
    index_variables(tx, keys, &before, &after, now)?;
    // What follows contacts is found from the contacts that are linked already.
    for (through, to) in follows {
        tx.request_associations_of_linked(connection, account, (&through, &to), now)?;
    }
    // What is mapped now may take nothing from those of whom it was held.
    tx.request_reselections_of_held(connection)
}

/// What the account's grant lacked may not be needed any more; where it still
/// is, that shows again.
fn try_again(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    account: AccountId,
) -> Result<(), store::Error> {
    let held = tx.connection(project, connection)?;
    let passing = held.problem.is_some_and(|problem| !problem.stops_calls());
    if held.status == Status::NeedsAttention && passing {
        tx.set_connection_status(connection, Status::Active, None)?;
        tx.allow_reads(account)?;
    }
    Ok(())
}

fn identity(field: &FieldMapping) -> FieldIdentity {
    (field.property.name.clone(), field.variable, field.target)
}

/// Ends all links of an object type, and whatever was reached through them.
fn drop_links(
    tx: &Tx<'_>,
    route: &ConnectionRoute,
    old: &ObjectMapping,
    keep: bool,
) -> Result<(), store::Error> {
    if old.through.is_some() {
        // It is reached through another type, whose links stay.
        return tx.drop_associations(route.id, old);
    }
    for (_, through) in route.mappings_through(&old.object_type) {
        for field in &through.fields {
            if let Some(variable) = field.variable {
                tx.release_values(through.id, field.id, variable, keep)?;
            }
        }
        tx.drop_associations(route.id, through)?;
    }
    tx.drop_links(route.id, old)
}

/// Users are found by the variables that rules name, from now on.
fn index_variables(
    tx: &Tx<'_>,
    keys: &Keys,
    before: &ConnectionRoute,
    after: &ConnectionRoute,
    now: Timestamp,
) -> Result<(), store::Error> {
    let variables = |route: &ConnectionRoute| -> BTreeSet<VariableId> {
        let rules = route
            .mappings
            .iter()
            .filter_map(|mapping| mapping.matching.as_ref());
        rules
            .filter_map(|rule| match rule.identifier {
                UserIdentifier::Variable(variable) => Some(variable),
                UserIdentifier::Email | UserIdentifier::ExternalId => None,
            })
            .collect()
    };
    let known = variables(before);
    let arrivals = Arrivals::new(tx, keys, after.project, now)?;
    for variable in variables(after).difference(&known) {
        if let Some(variable) = tx.variable_by_id(after.project, *variable)? {
            arrivals.index_variable(&variable)?;
        }
    }
    Ok(())
}

/// Ends a connection, from the commit on. Its values become ordinary Jimo
/// values (`keep`), or are gone; its account's grant is given up with the
/// account's last connection.
pub fn delete_connection(
    tx: &Tx<'_>,
    project: ProjectId,
    id: ConnectionId,
    keep: bool,
    now: Timestamp,
) -> Result<(), store::Error> {
    let connection = tx.connection(project, id)?;
    let mappings = tx.mappings(id)?.into_iter();
    let fields: Vec<FieldMapping> = mappings.flat_map(|mapping| mapping.fields).collect();
    tx.release_fields(project, None, &fields, keep)?;
    tx.delete_connection(id)?;
    if let Some((account, _)) = connection.account
        && tx.account_connections(account)?.is_empty()
    {
        let held = tx.account(account)?;
        tx.drop_set_aside((&held.connector, &held.key))?;
        tx.revoke_grant(account, now)?;
        tx.drop_reads(account)?;
        tx.drop_options(account)?;
    }
    Ok(())
}
