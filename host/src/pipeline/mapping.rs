//! Saving mappings: what is added begins empty, what is removed lets go of what
//! it fed, what is converted or selected in another way is so behind, and nothing is
//! backfilled.

use std::collections::BTreeSet;

use super::{arrivals::Arrivals, routing::ConnectionRoute};
use crate::{
    model::{
        AccountId, ConnectionId, FieldMapping, ObjectMapping, ObjectType, OptionTable, ProjectId,
        PropertyName, Status, Timestamp, UserIdentifier, VariableId,
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

/// Replaces a connection's mappings. `keep` says what becomes of the values of
/// what is removed, or matched in another way: ordinary Jimo values, or nothing.
pub fn save(
    tx: &Tx<'_>,
    keys: &Keys,
    connection: ConnectionId,
    new: &NewMappings,
    keep: bool,
    now: Timestamp,
) -> Result<(), store::Error> {
    let before = ConnectionRoute::load(tx, connection)?;
    let (project, account) = (before.project, before.account);
    let arrivals = Arrivals::new(tx, keys, project, now)?;
    for (object_type, property, table) in &new.options {
        tx.save_options(account, object_type, property, table, new.options_read_at)?;
    }
    let pairs = going_on(&before.mappings, &new.mappings);
    for (wanted, old) in &pairs {
        let Some(old) = old else {
            continue;
        };
        let fields = old.fields.iter();
        let gone = fields.filter(|field| wanted.same_field(field).is_none());
        let gone: Vec<FieldMapping> = gone.cloned().collect();
        let of = Some((connection, &old.object_type));
        tx.release_fields(project, of, &gone, keep)?;
    }
    // What is matched in another way begins anew, with all of its fields: first what
    // others go through, with which their associations go.
    let goes_on = |old: &&ObjectMapping| {
        pairs
            .iter()
            .any(|(_, one)| one.is_some_and(|one| one.id == old.id))
    };
    let mut ending: Vec<_> = before.mappings.iter().filter(|old| !goes_on(old)).collect();
    ending.sort_by_key(|old| old.through.is_some());
    for old in ending {
        tx.release_fields(project, None, &old.fields, keep)?;
        tx.end_mapping(connection, old, before.is_read)?;
    }
    let mut follows = Vec::new();
    for (wanted, old) in pairs {
        let id = tx.save_mapping(connection, wanted)?;
        for field in &wanted.fields {
            match old.and_then(|old| old.same_field(field)) {
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
        match old {
            Some(old) if old.selection != wanted.selection => {
                let linked = wanted.through.as_ref().unwrap_or(&wanted.object_type);
                tx.request_reselections(id, connection, linked)?;
            }
            Some(_) => {}
            None => follows.extend(wanted.through.as_ref().zip(Some(&wanted.object_type))),
        }
    }
    tx.mappings_saved(connection)?;
    try_again(tx, project, connection, account)?;

    index_variables(tx, project, &arrivals, &new.mappings)?;
    // What follows contacts is found from the contacts that are linked already.
    for follow in follows {
        tx.request_associations_of_linked(connection, account, follow, now)?;
    }
    // What is mapped now may take nothing from those of whom it was held.
    tx.request_reselections_of_held(connection)
}

/// Each of the new mappings with the one before that it goes on from: by which records of
/// the type reached users as they do by it, and so did those of the type that it goes
/// through. None where it begins anew.
pub(super) fn going_on<'a>(
    before: &'a [ObjectMapping],
    new: &'a [ObjectMapping],
) -> Vec<(&'a ObjectMapping, Option<&'a ObjectMapping>)> {
    let found_as = |wanted: &ObjectMapping| {
        let old = of_type(before, &wanted.object_type);
        old.filter(|old| wanted.finds_as(old))
    };
    let finds_through = |wanted: &ObjectMapping| match &wanted.through {
        Some(through) => of_type(new, through).and_then(found_as).is_some(),
        None => true,
    };
    new.iter()
        .map(|wanted| (wanted, found_as(wanted).filter(|_| finds_through(wanted))))
        .collect()
}

fn of_type<'a>(mappings: &'a [ObjectMapping], of: &ObjectType) -> Option<&'a ObjectMapping> {
    mappings.iter().find(|mapping| mapping.object_type == *of)
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

/// Users are found by the variables that rules name, from now on. Where a rule of the
/// project named one before, they are already: so it was for whoever arrived.
fn index_variables(
    tx: &Tx<'_>,
    project: ProjectId,
    before: &Arrivals<'_, '_>,
    mappings: &[ObjectMapping],
) -> Result<(), store::Error> {
    let rules = mappings
        .iter()
        .filter_map(|mapping| mapping.matching.as_ref());
    let named: BTreeSet<VariableId> = rules
        .filter_map(|rule| match rule.identifier {
            UserIdentifier::Variable(variable) => Some(variable),
            UserIdentifier::Email | UserIdentifier::ExternalId => None,
        })
        .collect();
    for variable in named.into_iter().filter(|one| !before.is_matched(*one)) {
        if let Some(variable) = tx.variable_by_id(project, variable)? {
            before.index_variable(&variable)?;
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
