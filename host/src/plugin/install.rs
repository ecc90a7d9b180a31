//! What a component has to be, whatever it connects to, before an operator can
//! activate it.

use super::{InstallError, Version, conformance};

/// Tries the cases that every connector passes, whatever it connects to.
pub fn conforms(version: &Version) -> Result<(), InstallError> {
    conformance::check(version)
}
