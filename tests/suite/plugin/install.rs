//! Installing a component: what is refused, and why.

use jimo_connect::plugin::{EMBEDDED, InstallError};

use super::{engine, limits, misbehaving};

fn refused(wat: &str) -> InstallError {
    let component = wat::parse_str(wat).expect("a component");
    engine().load(&component).expect_err("refused")
}

#[test]
fn the_embedded_component_is_installed() {
    let version = engine()
        .load(EMBEDDED)
        .expect("the component built with the host");
    assert_eq!(version.description().connector, "hubspot");
    assert_eq!(version.digest().len(), 64);
    assert_ne!(version.digest(), misbehaving().digest());
}

#[test]
fn bytes_that_are_no_component_are_refused() {
    for bytes in [
        b"".as_slice(),
        b"\0asm\x0d\0\x01\0",
        b"\0asm\x01\0\0\0",
        &EMBEDDED[..1000],
    ] {
        let error = engine().load(bytes).expect_err("refused");
        assert!(
            matches!(
                error,
                InstallError::Component(_) | InstallError::Contract(_)
            ),
            "{error}"
        );
    }
}

#[test]
fn a_component_that_is_no_connector_is_refused() {
    let error = refused("(component)");
    assert!(matches!(error, InstallError::Contract(_)), "{error}");
    assert!(error.to_string().contains("jimo:connect/"), "{error}");
}

#[test]
fn a_component_that_imports_what_has_effects_is_refused_by_name() {
    let error = refused(
        r#"(component
            (import "wasi:cli/environment@0.2.6" (instance))
            (import "wasi:filesystem/preopens@0.2.6" (instance))
            (import "wasi:clocks/wall-clock@0.2.6" (instance))
            (import "jimo:connect/types@1.0.0" (instance))
            (import "jimo:connect/other@1.0.0" (instance (export "call" (func))))
            (import "call" (func)))"#,
    );
    let imports = [
        "wasi:filesystem/preopens@0.2.6",
        "wasi:clocks/wall-clock@0.2.6",
        "jimo:connect/other@1.0.0",
        "call",
    ];
    assert_eq!(
        error,
        InstallError::Imports(imports.map(String::from).to_vec())
    );
}

#[test]
fn interfaces_are_allowed_in_the_versions_that_are_linked() {
    let component = |version: &str| {
        refused(&format!(
            r#"(component (import "wasi:io/poll{version}" (instance)))"#
        ))
    };
    for version in ["@0.2.0", "@0.2.6", "@0.2.99"] {
        let error = component(version);
        assert!(matches!(error, InstallError::Contract(_)), "{error}");
    }
    for version in ["", "@0.1.0", "@0.2.0-rc.1", "@0.3.0", "@1.0.0"] {
        let import = format!("wasi:io/poll{version}");
        assert_eq!(component(version), InstallError::Imports(vec![import]));
    }
}

#[test]
fn a_function_that_an_allowed_interface_lacks_is_named() {
    let error =
        refused(r#"(component (import "wasi:cli/exit@0.2.6" (instance (export "leave" (func)))))"#);
    let InstallError::Component(reason) = error else {
        panic!("{error}");
    };
    assert!(reason.contains("wasi:cli/exit@0.2.6"), "{reason}");
    assert!(reason.contains("leave"), "{reason}");
}

#[test]
fn a_component_that_begins_with_too_much_memory_is_refused() {
    let pages = limits().memory_bytes_max / (64 << 10);
    let with = |pages: usize| {
        refused(&format!(
            r#"(component (core module $m (memory {pages})) (core instance (instantiate $m)))"#
        ))
    };
    assert!(
        matches!(with(pages), InstallError::Contract(_)),
        "as much as there may be"
    );
    assert!(
        matches!(with(pages + 1), InstallError::Component(_)),
        "a page more"
    );
}
