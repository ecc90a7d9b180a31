//! What a component promises, checked on the component itself: the HubSpot one, or the file that `PLUGIN` names, with the
//! recorded bodies of the folder that `FIXTURES` names.
//!
//! All but `hubspot` holds for any connector.

mod describe;
mod determinism;
mod fixtures;
mod hostile;
mod hubspot;
mod imports;
mod properties;

use std::path::PathBuf;
use std::sync::OnceLock;

use plugin_kit::contract::exports::jimo::connect::describe::Description;
use plugin_kit::contract::exports::jimo::connect::parse::{AssociationPair, BodyKind};
use plugin_kit::settings::Settings;
use plugin_kit::{Kit, locate};

/// The component under test, loaded once.
fn kit() -> &'static Kit {
    static KIT: OnceLock<Kit> = OnceLock::new();
    KIT.get_or_init(|| Kit::load(locate::component()).expect("the component loads"))
}

/// The fixtures' folder.
fn fixtures_folder() -> PathBuf {
    locate::fixtures()
}

/// What the fixtures are run with.
fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        Settings::read(&fixtures_folder().join("settings.json")).expect("the settings are readable")
    })
}

/// What the component says of itself.
fn description() -> Description {
    let mut instance = kit().instance().expect("an instance");
    instance.describe().expect("a description")
}

/// Every kind of body that the component describes.
fn kinds() -> Vec<BodyKind> {
    let description = description();
    let mut kinds = vec![BodyKind::Delivery];
    kinds.extend(description.journal_file.map(|_| BodyKind::JournalFile));
    for object in description.object_types {
        kinds.extend(object.through.iter().map(|through| {
            BodyKind::Associations(AssociationPair {
                from_type: through.clone(),
                to_type: object.name.clone(),
            })
        }));
        kinds.push(BodyKind::Records(object.name));
    }
    kinds
}

/// A recorded body.
struct Fixture {
    file: PathBuf,
    kind: BodyKind,
    body: Vec<u8>,
}

/// All recorded bodies, by folder and name. The name of a page says what it is a page of.
fn fixtures() -> Vec<Fixture> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["deliveries", "journal", "pages"] {
        // A source that only pushes has deliveries alone.
        let Ok(entries) = fixtures_folder().join(folder).read_dir() else {
            continue;
        };
        for entry in entries {
            let file = entry.expect("the folder is readable").path();
            files.extend(
                (file
                    .extension()
                    .is_some_and(|extension| extension == "json"))
                .then_some(file),
            );
        }
    }
    files.sort();
    assert!(!files.is_empty(), "there are no recorded bodies");
    let fixture = |file: PathBuf| {
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        let mut words = stem.split('-').map(str::to_owned);
        let kind = match file
            .parent()
            .and_then(|folder| folder.file_name())
            .and_then(|name| name.to_str())
        {
            Some("deliveries") => BodyKind::Delivery,
            Some("journal") => BodyKind::JournalFile,
            _ => match (words.next(), words.next(), words.next()) {
                (Some(first), Some(from_type), Some(to_type)) if first == "associations" => {
                    BodyKind::Associations(AssociationPair { from_type, to_type })
                }
                (object, ..) => BodyKind::Records(object.expect("a name")),
            },
        };
        let body = std::fs::read(&file).expect("the fixture is readable");
        Fixture { file, kind, body }
    };
    files.into_iter().map(fixture).collect()
}

/// Runs a recorded body through fresh instances, one for each account, and writes what they answer.
fn run(fixture: &Fixture) -> String {
    let description = description();
    let body = match &fixture.kind {
        BodyKind::Delivery => description.delivery,
        BodyKind::JournalFile => match description.journal_file {
            Some(journal_file) => journal_file,
            None => return "no journal\n".to_owned(),
        },
        // Of a source that only pushes, deliveries are pages.
        BodyKind::Records(_) => description.records_page.unwrap_or(description.delivery),
        BodyKind::Associations(_) => match description.associations_page {
            Some(associations_page) => associations_page,
            None => return "no associations\n".to_owned(),
        },
    };
    let mut out = String::new();
    let Ok(accounts) = plugin_kit::body::cut(&fixture.body, &body) else {
        return "not as described\n".to_owned();
    };
    for (account, elements) in accounts {
        if !account.is_empty() {
            out.push_str(&format!("account {account}\n"));
        }
        let mut instance = kit().instance().expect("an instance");
        out.push_str(
            &plugin_kit::show::pass(&mut instance, &fixture.kind, &elements, settings())
                .expect("no fault"),
        );
    }
    out
}
