//! Seeded data directories.
//!
//! Seeding takes longer than most measurements, so a seeded directory is kept
//! beside what is built, and every run works on a copy of it.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Instant,
};

use harness::seed::{World, fill};
use jimo_connect::plugin::EMBEDDED;
use tempfile::TempDir;

/// Where seeded directories are kept, on the disk that the build is on.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// What decides about the layout of a seeded directory.
const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/migrations/sqlite");

/// A data directory of a world, for one run. It goes when it is dropped.
pub fn directory(world: World) -> TempDir {
    let kept = kept(world);
    let directory = TempDir::new_in(KEPT).unwrap();
    copy(&kept, directory.path());
    directory
}

/// The kept directory of a world, made where there is none that was made of the
/// present schema, plugin and seed.
fn kept(world: World) -> PathBuf {
    let World {
        users,
        fields,
        connections,
        company_users,
    } = world;
    let name = format!("seed-{users}-{fields}-{connections}-{company_users}-");
    let kept = Path::new(KEPT).join(format!("{name}{:016x}", layout()));
    if kept.exists() {
        return kept;
    }
    for entry in fs::read_dir(KEPT).unwrap() {
        let stale = entry.unwrap();
        if stale.file_name().to_string_lossy().starts_with(&name) {
            fs::remove_dir_all(stale.path()).unwrap();
        }
    }
    eprintln!("seeding {users} users, {} values", world.values());
    let begun = Instant::now();
    let making = TempDir::new_in(KEPT).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(fill(making.path(), world));
    drop(runtime);
    fs::rename(making.keep(), &kept).unwrap();
    eprintln!("seeded in {:.0?}", begun.elapsed());
    kept
}

/// Tells one layout from any other.
fn layout() -> u64 {
    let mut hasher = DefaultHasher::new();
    include_str!("../../harness/seed/mod.rs").hash(&mut hasher);
    include_str!("../../harness/seed/world.rs").hash(&mut hasher);
    EMBEDDED.hash(&mut hasher);
    for database in ["log", "store"] {
        let migrations = fs::read_dir(Path::new(MIGRATIONS).join(database)).unwrap();
        let mut migrations: Vec<PathBuf> = migrations.map(|file| file.unwrap().path()).collect();
        migrations.sort();
        for migration in migrations {
            fs::read(migration).unwrap().hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Copies the files of a directory, and has them on the disk: what the kernel
/// still had to write would be written while the clock runs.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copied = to.join(entry.file_name());
        fs::copy(entry.path(), &copied).unwrap();
        File::open(copied).unwrap().sync_all().unwrap();
    }
}
