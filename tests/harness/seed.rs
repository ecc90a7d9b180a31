//! A data directory with users whose contacts are linked and filled.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jimo_connect::{
    clock::Clock,
    host::Host,
    model::{
        ConnectionId, Existence, FieldId, FieldMapping, KeyKind, MappingId, MatchingRule,
        ObjectMapping, ProjectId, PropertyDefinition, Readable, Register, Shown, Status, Timestamp,
        UserId, UserIdentifier, Value, VariableType, Version,
    },
    pipeline::mapping::{self, NewMappings},
    store::{self, Tx, registers::FedValue, users::UserFilter},
};
use tempfile::TempDir;

use crate::bare::config;

/// The account.
pub const PORTAL: u64 = 48_975_575;

/// Mapped properties of each contact.
pub const FIELDS: usize = 10;

/// The id of the first contact.
pub const FIRST_CONTACT: u64 = 50_000_000_000;

/// When everything that is seeded happened, and what was mapped was mapped:
/// some hours ago, so that all that is sent is newer.
pub fn seeded_at() -> Timestamp {
    Timestamp(Clock::system().now().0 - 4 * 3_600_000)
}

/// The name of a mapped property.
pub fn property(field: usize) -> String {
    format!("property_{field}")
}

/// Users whom one transaction makes.
const BATCH: u64 = 5_000;

/// What a property of a contact is seeded with.
pub fn seeded_text(contact: u64) -> String {
    format!("seeded {}", contact - FIRST_CONTACT)
}

/// Makes a data directory within another.
pub fn directory(within: &Path, users: u64) -> TempDir {
    let directory = TempDir::new_in(within).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(seed(directory.path(), users));
    directory
}

/// Makes users in a data directory; the contact of each has all its properties.
pub async fn seed(directory: &Path, users: u64) -> ProjectId {
    let url = "http://127.0.0.1:1".parse().unwrap();
    let host = Host::open(config(directory), url, Clock::system())
        .await
        .unwrap();
    let keys = host.keys.clone();
    let plugin = host.plugins.active();
    let rule = MatchingRule {
        property: text("email"),
        identifier: UserIdentifier::Email,
    };
    let needs = plugin
        .needs(&"contacts".into(), Some(&rule), None)
        .unwrap()
        .unwrap();
    let at = seeded_at();
    let seeded = host
        .store
        .transact(move |tx| {
            let project = tx.create_project("Load", "UTC", at)?.id;
            let connection = tx.create_connection(project, "hubspot", at)?;
            let account = tx.save_account(
                "hubspot",
                &PORTAL.to_string().as_str().into(),
                None,
                None,
                None,
            )?;
            tx.set_connection_account(connection, account)?;
            tx.set_connection_status(connection, Status::Active, None)?;
            let mut fields = Vec::new();
            for field in 0..FIELDS {
                let name = property(field);
                let variable = tx.create_variable(project, &name, None, VariableType::Text, at)?;
                fields.push(FieldMapping {
                    id: FieldId(0),
                    property: text(&name),
                    variable: Some(variable),
                    target: VariableType::Text,
                    show: Shown::InternalValue,
                    saved_at: at,
                });
            }
            let contacts = ObjectMapping {
                id: MappingId(0),
                object_type: "contacts".into(),
                matching: Some(rule),
                through: None,
                selection: None,
                fields,
                matching_properties: needs.matching,
                selection_properties: needs.selection,
                bookkeeping_properties: needs.bookkeeping,
            };
            let new = NewMappings {
                mappings: vec![contacts],
                options: Vec::new(),
            };
            mapping::save(tx, &keys, (project, connection, account), &new, true, at)?;
            let mapping = tx.mappings(connection)?.remove(0);
            Ok((project, connection, Arc::new(mapping)))
        })
        .await
        .unwrap();
    let project = seeded.0;
    for from in (0..users).step_by(BATCH as usize) {
        let (keys, seeded) = (host.keys.clone(), seeded.clone());
        host.store
            .transact(move |tx| {
                for index in from..(from + BATCH).min(users) {
                    seed_user(tx, &keys, &seeded, index, at)?;
                }
                Ok(())
            })
            .await
            .unwrap();
    }
    project
}

/// The values of all users, by their contact and the property.
pub async fn values(host: &Host, project: ProjectId) -> BTreeMap<(u64, String), String> {
    host.store
        .read(move |tx| {
            let mut values = BTreeMap::new();
            let everyone = UserFilter::default();
            for user in tx.users(project, &everyone, UserId(0), usize::MAX)? {
                for value in tx.profile(user.id)? {
                    let store::users::Source::Record { record, .. } = &value.source else {
                        continue;
                    };
                    let Value::Text(text) = value.value else {
                        panic!("{:?}", value.value);
                    };
                    let contact = record.as_str().parse().unwrap();
                    values.insert((contact, value.variable), text);
                }
            }
            Ok(values)
        })
        .await
        .unwrap()
}

fn text(name: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: name.into(),
        property_type: "string".into(),
        field_type: "text".into(),
    }
}

type Seeded = (ProjectId, ConnectionId, Arc<ObjectMapping>);

fn seed_user(
    tx: &Tx<'_>,
    keys: &jimo_connect::secrets::Keys,
    (project, connection, mapping): &Seeded,
    index: u64,
    at: Timestamp,
) -> Result<(), store::Error> {
    let email = format!("user{index}@example.com");
    let user = tx.create_user(*project, None, Some(&email), None, at)?;
    tx.set_user_keys(*project, user, UserIdentifier::Email, Some(&email))?;
    let contact = (FIRST_CONTACT + index).to_string();
    let mut state = tx.ensure_record(*connection, &"contacts".into(), &contact.as_str().into())?;
    let digest = keys.digest_match_key(&connection.to_string(), KeyKind::Email, &email);
    tx.set_match_keys(*connection, state.key, &[(digest, 0)])?;
    tx.link(state.key, user, 0)?;
    tx.refresh_reached(state.key)?;
    let version = Version {
        stamp: at,
        sequence: 1,
    };
    state.existence = Existence::Exists;
    state.existence_at = at;
    state.read = version;
    state.filled = true;
    tx.save_record(&state)?;
    tx.set_feed(mapping.id, user, Some(state.key))?;
    for field in &mapping.fields {
        let text = seeded_text(FIRST_CONTACT + index);
        let value = Some(Value::Text(text.clone()));
        let register = Register {
            text: text.clone(),
            version,
            unreadable: None,
            readable: Some(Readable {
                text,
                version,
                value: value.clone(),
            }),
        };
        tx.save_register(state.key, field.id, &register)?;
        if let Some(variable) = field.variable {
            let fed = FedValue {
                user,
                variable,
                value,
                field: field.id,
                record: state.key,
                changed_at: at,
            };
            tx.show_value(&fed, at)?;
        }
    }
    Ok(())
}
