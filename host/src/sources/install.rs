//! What a component has to be before an operator can activate it.

use super::Source;
use crate::plugin::{Engine, InstallError, Version, conforms};

/// Makes a version of a component that is to be installed: [`Engine::load`], and
/// beyond that this host has to have what its source needs, and it has to pass the
/// cases that the host carries.
///
/// Takes some seconds of this thread, most of them for compiling.
pub fn check(engine: &Engine, component: &[u8]) -> Result<Version, InstallError> {
    let version = engine.load(component)?;
    if let Some(lacking) = lacking(&version) {
        return Err(InstallError::NotServed {
            connector: version.connector().to_owned(),
            lacking,
        });
    }
    conforms(&version)?;
    Ok(version)
}

/// What this host would need to serve a version's source, and has not.
fn lacking(version: &Version) -> Option<&'static str> {
    let description = version.description();
    match Source::of(version.connector()) {
        Source::HubSpot => None,
        Source::Push if description.journal_file.is_some() => Some("reads no journal of it"),
        Source::Push if description.records_page.is_some() => Some("reads no records of it"),
        Source::Push if description.associations_page.is_some() => {
            Some("reads no associations of it")
        }
        Source::Push if version.definitions().is_none() => {
            Some("cannot ask it for its properties, and the component does not define them")
        }
        Source::Push => None,
    }
}
