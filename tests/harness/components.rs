//! Components that only tests run, built when the first test asks for one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A component that misbehaves wherever its input says so; its crate,
/// `tests/misbehaving-plugin`, tells how.
pub fn misbehaving() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| build("misbehaving-plugin"))
}

/// A connector to a source that is not HubSpot: `tests/webhook-connector`.
pub fn webhook() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| build("webhook-connector"))
}

/// [`misbehaving`], which says that it connects to `connector`, and does as `always`
/// says whatever its input says.
pub fn misbehaving_as(connector: &str, always: &str) -> Vec<u8> {
    let mut component = misbehaving().to_vec();
    write_over(
        &mut component,
        "connector=misbehaving",
        &format!("connector={connector}"),
    );
    write_over(
        &mut component,
        "always=nothing at all    ",
        &format!("always={always}"),
    );
    component
}

/// The same component with another text, as long, in place of one that stands in it
/// once: a version whose words differ.
pub fn reworded(component: &[u8], text: &str, other: &str) -> Vec<u8> {
    assert_eq!(text.len(), other.len(), "{other:?} has another length");
    let mut component = component.to_vec();
    write_over(&mut component, text, other);
    component
}

/// Writes another text over one that stands once in a component.
fn write_over(component: &mut [u8], text: &str, other: &str) {
    assert!(other.len() <= text.len(), "{other:?} is too long");
    let other = format!("{other:width$}", width = text.len());
    let mut places = component
        .windows(text.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == text.as_bytes())
        .map(|(place, _)| place);
    let (place, more) = (places.next().expect("the text stands there"), places.next());
    assert_eq!(more, None, "{text:?} stands there twice");
    component[place..place + text.len()].copy_from_slice(other.as_bytes());
}

/// The same component as another build of it would be: it differs in its digest
/// alone, by a section that nobody reads.
pub fn rebuilt(component: &[u8], mark: &str) -> Vec<u8> {
    const CUSTOM_SECTION: u8 = 0;
    let content = [&[4][..], b"mark", mark.as_bytes()].concat();
    let size = u8::try_from(content.len()).expect("a short mark");
    assert!(size < 0x80, "a size of one byte");
    [component, &[CUSTOM_SECTION, size], &content].concat()
}

/// What is set where tests are built, and is none of a component's business.
pub const OF_THE_TESTS: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

/// The target directory of the components that are built here.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own path");
    // A test's program is at target/PROFILE/deps/NAME.
    let target = program.ancestors().nth(3).expect("a target directory");
    target.join("components")
}

/// Builds a crate of the workspace as the plugin itself is built.
fn build(package: &str) -> Vec<u8> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target_dir = target_dir();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&workspace)
        .args([
            "build",
            "--quiet",
            "--lib",
            "--locked",
            "--package",
            package,
        ])
        .args([
            "--target",
            "wasm32-wasip2",
            "--profile",
            "plugin",
            "--target-dir",
        ])
        .arg(&target_dir);
    for name in OF_THE_TESTS {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "{package} does not build");
    let name = format!("wasm32-wasip2/plugin/{}.wasm", package.replace('-', "_"));
    fs::read(target_dir.join(name)).expect("the component that was just built")
}
