//! Components that only tests run, built when the first test asks for one.

use std::{fs, path::Path, process::Command, sync::OnceLock};

/// A component that misbehaves wherever its input says so; its crate,
/// `tests/misbehaving-plugin`, tells how.
pub fn misbehaving() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| build("misbehaving-plugin"))
}

/// Builds a crate of the workspace as the plugin itself is built.
fn build(package: &str) -> Vec<u8> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = std::env::current_exe().expect("a test knows its own path");
    // A test's program is at target/PROFILE/deps/NAME.
    let target_dir = program
        .ancestors()
        .nth(3)
        .expect("a target directory")
        .join("components");
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
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "{package} does not build");
    let name = format!("wasm32-wasip2/plugin/{}.wasm", package.replace('-', "_"));
    fs::read(target_dir.join(name)).expect("the component that was just built")
}
