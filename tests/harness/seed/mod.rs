//! Fills a data directory with users whose contacts are linked and filled,
//! through the store's own calls, as the pipeline would after every record was
//! read once.

mod world;

use std::{path::Path, sync::Arc};

use jimo_connect::{
    clock::Clock,
    model::{
        ConnectionId, Existence, FieldId, FieldMapping, KeyKind, MappingId, MatchingRule,
        ObjectMapping, ProjectId, PropertyDefinition, Readable, Register, Shown, Status, Timestamp,
        UserIdentifier, Value, VariableType, Version,
    },
    pipeline::mapping::{self, NewMappings},
    plugin::NeededProperties,
    secrets::Keys,
    store::{
        self, Tx,
        reach::{Feed, KeptAssociation},
        records::{RecordKey, RecordState},
        registers::FedValue,
    },
};

pub use self::world::{COMPANY, COMPANY_PROPERTY, World};
use crate::{bare::config, engine::open};

/// Users whom one transaction makes.
const BATCH: u64 = 5_000;

/// A connection, ready for users.
#[derive(Clone)]
struct Seeded {
    number: u64,
    project: ProjectId,
    connection: ConnectionId,
    contacts: Arc<ObjectMapping>,
    /// The company and its mapping, where the connection has one.
    company: Option<(Arc<ObjectMapping>, RecordKey)>,
}

/// When everything that is seeded happened, and what is mapped was mapped: some
/// hours ago, so that all that is sent is newer.
pub fn seeded_at() -> Timestamp {
    Timestamp(Clock::system().now().0 - 4 * 3_600_000)
}

/// What each property of a user's contact is seeded with.
pub fn seeded_text(user: u64) -> String {
    format!("seeded {user}")
}

/// Fills an empty data directory. Returns the project of each connection.
pub async fn fill(directory: &Path, world: World) -> Vec<ProjectId> {
    let url = "http://127.0.0.1:1".parse().unwrap();
    let at = seeded_at();
    let host = open(config(directory), url, Clock::system()).await;
    let host = host.unwrap();
    let needs = |object_type: &str, rule: Option<&MatchingRule>| {
        let plugin = host.plugins.active("hubspot").expect("a version");
        let needs = plugin.needs(&object_type.into(), rule, None);
        needs.unwrap().unwrap()
    };
    let contacts = needs("contacts", Some(&rule()));
    let companies = needs("companies", None);
    let mut projects = Vec::new();
    for number in 0..world.connections {
        let (keys, contacts, companies) = (host.keys.clone(), contacts.clone(), companies.clone());
        let seeded = host.store.transact(move |tx| {
            let needs = (&contacts, &companies);
            connect(tx, &keys, world, number, needs, at)
        });
        let seeded = seeded.await.unwrap();
        projects.push(seeded.project);
        let users = world.users_of(number);
        for from in users.clone().step_by(BATCH as usize) {
            let (keys, seeded) = (host.keys.clone(), seeded.clone());
            let users = from..(from + BATCH).min(users.end);
            let filled = host.store.transact(move |tx| {
                for user in users {
                    seed_user(tx, &keys, world, &seeded, user, at)?;
                }
                Ok(())
            });
            filled.await.unwrap();
        }
        if let Some((_, company)) = seeded.company {
            let reached = host.store.transact(move |tx| tx.refresh_reached(company));
            assert!(reached.await.unwrap(), "the company reaches users");
        }
    }
    projects
}

fn rule() -> MatchingRule {
    MatchingRule {
        property: text("email"),
        identifier: UserIdentifier::Email,
    }
}

fn text(name: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: name.into(),
        property_type: "string".into(),
        field_type: "text".into(),
    }
}

/// Makes a project with an active connection, and its mappings.
fn connect(
    tx: &Tx<'_>,
    keys: &Keys,
    world: World,
    number: u64,
    (contacts, companies): (&NeededProperties, &NeededProperties),
    at: Timestamp,
) -> Result<Seeded, store::Error> {
    let project = tx.create_project("Load", "UTC", at)?.id;
    let connection = tx.create_connection(project, "hubspot", at)?;
    let portal = World::portal(number).to_string().as_str().into();
    let account = tx.save_account("hubspot", &portal, None, None, None)?;
    tx.set_connection_account(connection, account)?;
    tx.set_connection_status(connection, Status::Active, None)?;
    let field = |name: &str, id: i64| {
        let variable = tx.create_variable(project, name, None, VariableType::Text, at)?;
        assert_eq!(variable.0, id, "variables are numbered in order");
        Ok::<_, store::Error>(FieldMapping {
            id: FieldId(0),
            property: text(name),
            variable: Some(variable),
            target: VariableType::Text,
            show: Shown::InternalValue,
            saved_at: at,
        })
    };
    let has_company = number == 0 && world.company_users > 0;
    let mut mappings = Vec::new();
    if has_company {
        let fields = vec![field(COMPANY_PROPERTY, world.company_variable_id())?];
        let through = Some("contacts".into());
        mappings.push(object_mapping("companies", through, fields, companies));
    }
    let fields = (0..world.fields)
        .map(|index| field(&World::property(index), world.variable_id(number, index)))
        .collect::<Result<_, _>>()?;
    mappings.push(object_mapping("contacts", None, fields, contacts));
    let new = NewMappings {
        mappings,
        options: Vec::new(),
        options_read_at: at,
    };
    mapping::save(tx, keys, connection, &new, true, at)?;
    let mut company = None;
    let mut contacts = None;
    for mapping in tx.mappings(connection)? {
        if mapping.object_type == "contacts".into() {
            contacts = Some(Arc::new(mapping));
        } else {
            company = Some((Arc::new(mapping), seed_company(tx, connection, at)?));
        }
    }
    if let Some((mapping, key)) = &company {
        save_registers(tx, mapping, *key, "seeded", at)?;
    }
    Ok(Seeded {
        number,
        project,
        connection,
        contacts: contacts.unwrap(),
        company,
    })
}

fn object_mapping(
    object_type: &str,
    through: Option<jimo_connect::model::ObjectType>,
    fields: Vec<FieldMapping>,
    needs: &NeededProperties,
) -> ObjectMapping {
    ObjectMapping {
        id: MappingId(0),
        object_type: object_type.into(),
        matching: through.is_none().then(rule),
        through,
        selection: None,
        fields,
        matching_properties: needs.matching.clone(),
        selection_properties: needs.selection.clone(),
        bookkeeping_properties: needs.bookkeeping.clone(),
    }
}

fn seed_company(
    tx: &Tx<'_>,
    connection: ConnectionId,
    at: Timestamp,
) -> Result<RecordKey, store::Error> {
    let company = COMPANY.to_string().as_str().into();
    let state = tx.ensure_record(connection, &"companies".into(), &company)?;
    let key = state.key;
    save_as_read(tx, state, at)?;
    Ok(key)
}

/// Keeps of a record that it exists, and was read.
fn save_as_read(tx: &Tx<'_>, mut state: RecordState, at: Timestamp) -> Result<(), store::Error> {
    state.existence = Existence::Exists;
    state.existence_at = at;
    state.read = version(at);
    state.filled = true;
    tx.save_record(&state)
}

fn version(at: Timestamp) -> Version {
    Version {
        stamp: at,
        sequence: 1,
    }
}

fn save_registers(
    tx: &Tx<'_>,
    mapping: &ObjectMapping,
    record: RecordKey,
    text: &str,
    at: Timestamp,
) -> Result<(), store::Error> {
    let register = Register {
        text: text.to_owned(),
        version: version(at),
        unreadable: None,
        readable: Some(Readable {
            text: text.to_owned(),
            version: version(at),
            value: Some(Value::Text(text.to_owned())),
        }),
    };
    for field in &mapping.fields {
        tx.save_register(record, field.id, &register)?;
    }
    Ok(())
}

fn seed_user(
    tx: &Tx<'_>,
    keys: &Keys,
    world: World,
    seeded: &Seeded,
    index: u64,
    at: Timestamp,
) -> Result<(), store::Error> {
    let Seeded {
        project,
        connection,
        ..
    } = *seeded;
    let email = format!("user{index}@example.com");
    let user = tx.create_user(project, None, Some(&email), None, at)?;
    assert_eq!(user.0, World::user_id(index), "users are numbered in order");
    tx.set_user_keys(project, user, UserIdentifier::Email, Some(&email))?;
    let contact = World::contact(index).to_string().as_str().into();
    let state = tx.ensure_record(connection, &"contacts".into(), &contact)?;
    let contact = state.key;
    let digest = keys.digest_match_key(&connection.to_string(), KeyKind::Email, &email);
    tx.set_match_keys(connection, contact, &[(digest, 0)])?;
    tx.link(contact, user, 0)?;
    tx.refresh_reached(contact)?;
    save_as_read(tx, state, at)?;
    let text = seeded_text(index);
    save_registers(tx, &seeded.contacts, contact, &text, at)?;
    let mut feeds = vec![(&seeded.contacts, contact, text)];
    if let Some((mapping, company)) = &seeded.company
        && seeded.number == 0
        && index < world.company_users
    {
        let kept = KeptAssociation {
            to_record: *company,
            primary: true,
            labels: Vec::new(),
        };
        tx.replace_associations(contact, &mapping.object_type, 1, &[kept])?;
        feeds.push((mapping, *company, "seeded".to_owned()));
    }
    for (mapping, record, text) in feeds {
        let feed = Feed {
            record,
            provisional_until: Timestamp::default(),
        };
        tx.set_feed(mapping.id, user, Some(feed))?;
        for field in &mapping.fields {
            let Some(variable) = field.variable else {
                continue;
            };
            let fed = FedValue {
                user,
                variable,
                value: Some(Value::Text(text.clone())),
                field: field.id,
                record,
                changed_at: at,
            };
            tx.show_value(&fed, at)?;
        }
    }
    Ok(())
}
