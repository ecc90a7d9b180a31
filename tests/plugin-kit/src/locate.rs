//! Which component is run: the file that `PLUGIN` names, else the HubSpot component, built once; and with which recorded
//! bodies: those of the folder that `FIXTURES` names, else HubSpot's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The crate of the HubSpot component, and the file that it becomes.
const CRATE: &str = "jimo-connect-hubspot";
const FILE: &str = "jimo_connect_hubspot.wasm";

/// The component's file. Builds the HubSpot component on the first call, unless `PLUGIN` names another.
///
/// # Panics
/// If the component cannot be built: without one there is nothing to run.
pub fn component() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("PLUGIN") {
        Some(file) => PathBuf::from(file),
        None => build(),
    })
}

/// The folder of recorded bodies and of the settings that they are run with.
pub fn fixtures() -> PathBuf {
    match std::env::var_os("FIXTURES") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("tests/fixtures"),
    }
}

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn build() -> PathBuf {
    let target = target_folder();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .args([
            "build",
            "--quiet",
            "--package",
            CRATE,
            "--target",
            "wasm32-wasip2",
            "--profile",
            "plugin",
        ])
        .arg("--target-dir")
        .arg(&target);
    // Flags for the machine that runs the tests are not the component's.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ] {
        cargo.env_remove(name);
    }
    let done = cargo
        .status()
        .unwrap_or_else(|error| panic!("cargo does not start: {error}"));
    assert!(done.success(), "the component does not build");
    target.join("wasm32-wasip2/plugin").join(FILE)
}

/// The folder that this very program was built into, so that the component is built once for all suites.
fn target_folder() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| {
            program
                .ancestors()
                .find(|folder| folder.join("CACHEDIR.TAG").exists())
                .map(Path::to_owned)
        })
        .unwrap_or_else(|| workspace().join("target"))
}
