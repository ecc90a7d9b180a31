//! What a component exports, beside what the contract's world asks for.

use wasmtime::{Engine, component::Component};

/// The package of the contract.
const PACKAGE: &str = "jimo:connect/";

/// An interface that a connector may export.
const DEFINITIONS: &str = "definitions";

/// The interfaces that a connector exports.
const INTERFACES: [&str; 4] = ["describe", "parse", "matching", "transform"];

/// The version of the contract that this host speaks.
const VERSION: &str = "1.1.0";

/// What is missing of a component's exports, or there in another version; none
/// where all interfaces are there, whatever is wrong within them.
pub(super) fn strange_exports(engine: &Engine, component: &Component) -> Option<String> {
    let exports = component.component_type();
    let exports: Vec<String> = exports
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let wrong = INTERFACES.iter().filter_map(|interface| {
        let wanted = format!("{PACKAGE}{interface}");
        let versions: Vec<&str> = exports
            .iter()
            .filter_map(|export| export.strip_prefix(&wanted)?.strip_prefix('@'))
            .collect();
        if versions.iter().any(|version| is_compatible(version)) {
            return None;
        }
        Some(match versions.first() {
            Some(version) => {
                format!("it exports {wanted} in version {version}, and this host speaks {VERSION}")
            }
            None => format!("it does not export {wanted}@{VERSION}"),
        })
    });
    let wrong: Vec<String> = wrong.collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// The version of the contract that a component speaks, by what it exports; none
/// where it exports no version that this host speaks.
pub(super) fn contract(engine: &Engine, component: &Component) -> Option<String> {
    let wanted = format!("{PACKAGE}{}@", INTERFACES[0]);
    let exports = component.component_type();
    exports
        .exports(engine)
        .filter_map(|(name, _)| name.strip_prefix(&wanted))
        .find(|version| is_compatible(version))
        .map(str::to_owned)
}

/// Whether a component exports `definitions` in a version that this host speaks.
pub(super) fn has_definitions(engine: &Engine, component: &Component) -> bool {
    let wanted = format!("{PACKAGE}{DEFINITIONS}@");
    component
        .component_type()
        .exports(engine)
        .any(|(name, _)| name.strip_prefix(&wanted).is_some_and(is_compatible))
}

/// Whether an interface of that version has the shape of ours: within a major, no
/// published interface ever changes.
fn is_compatible(version: &str) -> bool {
    let major = |version: &str| version.split_once('.').map(|(major, _)| major.to_owned());
    major(version) == major(VERSION)
}
