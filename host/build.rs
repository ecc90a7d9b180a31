//! Builds the plugin as a component, and hands its place to the program, which
//! embeds it.
//!
//! Cargo runs once more, for the plugin alone, in a target directory of its
//! own, which all builds of the host with one profile share. Nothing of how the
//! host is being built reaches that run, so the plugin is the same, and built
//! once, under `cargo build`, `cargo clippy` and `cargo test`; nor do the
//! machine's paths, so that its digest is the same everywhere.

use std::{
    env,
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "wasm32-wasip2";
const PACKAGE: &str = "jimo-connect-hubspot";
const PROFILE: &str = "plugin";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let workspace = env::current_dir()?.join("..").canonicalize()?;
    for source in ["../plugin", "../wit", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    add_target()?;
    let component = build(&workspace)?;
    println!(
        "cargo::rustc-env=JIMO_CONNECT_PLUGIN={}",
        component.display()
    );
    Ok(())
}

/// Builds the plugin, and returns where the component is.
fn build(workspace: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    // Cargo keeps what build scripts write beneath `build`, and has a folder
    // there for every choice of packages and features.
    let build_dir = out_dir.ancestors().find(|folder| folder.ends_with("build"));
    let shared_dir = build_dir.and_then(Path::parent).unwrap_or(&out_dir);
    let target_dir = shared_dir.join("components");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--lib", "--locked", "--package", PACKAGE])
        .args(["--target", TARGET, "--profile", PROFILE])
        .arg("--target-dir")
        .arg(&target_dir);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_the_host) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(workspace)?);
    let status = cargo
        .status()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    if !status.success() {
        return Err(format!("the plugin does not build for {TARGET} ({status}); see above").into());
    }
    let name = format!("{}.wasm", PACKAGE.replace('-', "_"));
    let built = target_dir.join(TARGET).join(PROFILE).join(&name);
    // A copy, for the next build may write to the same place.
    let component = out_dir.join(name);
    fs::copy(&built, &component).map_err(|error| format!("{}: {error}", built.display()))?;
    Ok(component)
}

/// Whether a variable tells how the host is built. What a user sets for cargo
/// as a whole, such as its home or a registry, holds for the plugin too.
fn belongs_to_the_host(name: &str) -> bool {
    let prefixes = [
        "CARGO_PROFILE_",
        "CARGO_BUILD_",
        "CARGO_TARGET_",
        "CARGO_FEATURE_",
        "CARGO_CFG_",
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "DEP_",
    ];
    let names = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_MAKEFLAGS",
        "CARGO_INCREMENTAL",
        "CLIPPY_ARGS",
        "DEBUG",
        "HOST",
        "MAKEFLAGS",
        "MFLAGS",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "TARGET",
    ];
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// What the compiler is told: names for the machine's paths, which panics and
/// the like carry into the component.
fn flags(workspace: &Path) -> Result<OsString, Box<dyn Error>> {
    let mut flags = OsString::new();
    let mut remap = |from: &Path, to: &str| {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push(format!("={to}"));
    };
    // Where several apply, the last does.
    if let Some(home) = env::home_dir() {
        remap(&home.join(".cargo"), "/cargo");
    }
    if let Some(home) = env::var_os("CARGO_HOME") {
        remap(Path::new(&home), "/cargo");
    }
    remap(&rustc(&["--print", "sysroot"])?, "/rust");
    remap(workspace, "/jimo-connect");
    Ok(flags)
}

/// Adds the target to the toolchain that builds the host, where it is absent.
fn add_target() -> Result<(), Box<dyn Error>> {
    let library = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    if library.is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    if let Some(toolchain) = env::var_os("RUSTUP_TOOLCHAIN") {
        rustup.arg("--toolchain").arg(toolchain);
    }
    match rustup.status() {
        Ok(status) if status.success() && library.is_dir() => Ok(()),
        Ok(status) => Err(format!("`rustup target add {TARGET}` did not help ({status}), and the plugin cannot be built without that target").into()),
        Err(error) => Err(format!(
            "this Rust lacks the target {TARGET}, which the plugin is built for, and there is no rustup to add it ({error}): add that target, or install Rust by rustup"
        )
        .into()),
    }
}

/// Asks the compiler for a path.
fn rustc(arguments: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?).args(arguments).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("rustc cannot tell its paths: {error}").into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}").into())
}
