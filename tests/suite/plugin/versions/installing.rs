//! What may be installed, and what a refusal says.

use std::time::Duration;

use harness::components::{misbehaving, misbehaving_as};
use jimo_connect::{
    plugin::{EMBEDDED, Engine, InstallError, Limits, digest},
    sources::check,
};

use super::super::engine;

#[test]
fn what_fails_a_case_that_every_connector_passes_is_not_installed() {
    let limits = Limits {
        pass_deadline: Duration::from_millis(500),
        ..Limits::default()
    };
    let engine = Engine::new(&limits).unwrap();
    for (always, case, found) in [
        ("trap on null", "an array of nonsense", "trapped"),
        ("spin on nothing", "an empty array", "stopped after"),
        (
            "accept anything",
            "an object in place of an array",
            "does not refuse",
        ),
        ("refuse selections", "what contacts need", "refuses"),
    ] {
        let refused = check(&engine, &misbehaving_as("hubspot", always)).unwrap_err();
        let InstallError::Conformance {
            case: of,
            found: by,
        } = &refused
        else {
            panic!("{always}: {refused}");
        };
        assert!(of.contains(case), "{always}: {refused}");
        assert!(by.contains(found), "{always}: {refused}");
    }
    check(&engine, &misbehaving_as("hubspot", "nothing")).unwrap();
}

#[test]
fn the_component_that_is_built_in_passes_what_it_asks_of_others() {
    let engine = Engine::new(&Limits::default()).unwrap();
    let version = check(&engine, EMBEDDED).unwrap();
    assert_eq!(version.digest(), digest(EMBEDDED));
}

#[test]
fn a_connector_to_another_source_that_is_to_be_read_is_not_installed() {
    let refused = check(engine(), misbehaving()).unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("misbehaving") && told.contains("reads no journal of it"),
        "{told}"
    );
}

#[test]
fn the_export_that_is_wrong_is_named() {
    let refused = |wat: &str| {
        let component = wat::parse_str(wat).unwrap();
        engine().load(&component).unwrap_err().to_string()
    };
    let with = |version: &str| {
        let names = ["describe", "parse", "matching", "transform"];
        let exports = names
            .map(|name| format!(r#"(export "jimo:connect/{name}{version}" (instance $nothing))"#));
        format!("(component (instance $nothing) {})", exports.concat())
    };
    let told = refused("(component)");
    assert!(told.contains("jimo:connect/describe@1.1.0"), "{told}");
    assert!(told.contains("jimo:connect/transform@1.1.0"), "{told}");
    let told = refused(&with("@0.7.0"));
    assert!(
        told.contains("jimo:connect/parse in version 0.7.0"),
        "{told}"
    );
    assert!(told.contains("1.1.0"), "{told}");
    let told = refused(&with("@1.0.0"));
    assert!(told.contains("jimo:connect/describe"), "{told}");
    let shape = refused(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $d (export "describe" (func $f)))
            (instance $nothing)
            (export "jimo:connect/describe@1.0.0" (instance $d))
            (export "jimo:connect/parse@1.0.0" (instance $nothing))
            (export "jimo:connect/matching@1.0.0" (instance $nothing))
            (export "jimo:connect/transform@1.0.0" (instance $nothing)))"#,
    );
    assert!(shape.contains("jimo:connect/"), "{shape}");
}
