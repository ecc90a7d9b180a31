//! What a component has to be before an operator can activate it.

use super::{CONNECTORS, Engine, InstallError, Version, conformance};

/// Makes a version of a component that is to be installed: [`Engine::load`], and
/// beyond that it has to be a connector of a source that this host knows, and to
/// pass the cases that the host carries.
///
/// Takes some seconds of this thread, most of them for compiling.
pub fn check(engine: &Engine, component: &[u8]) -> Result<Version, InstallError> {
    let version = engine.load(component)?;
    let connector = &version.description().connector;
    if !CONNECTORS.contains(&connector.as_str()) {
        return Err(InstallError::UnknownConnector {
            connector: connector.clone(),
        });
    }
    conforms(&version)?;
    Ok(version)
}

/// Tries the cases that every connector passes, whatever it connects to.
pub fn conforms(version: &Version) -> Result<(), InstallError> {
    conformance::check(version)
}
