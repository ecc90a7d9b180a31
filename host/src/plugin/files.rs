//! The components that operators installed: `plugins/DIGEST.wasm` in the data
//! directory.
//!
//! A file is there whole or not at all, and one whose bytes do not have the
//! digest that it is named by is never handed out.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{EMBEDDED, engine::digest};

/// The folder in the data directory.
const FOLDER: &str = "plugins";

/// The largest component that is taken: some twenty times what ours has.
pub const COMPONENT_BYTES_MAX: usize = 8 << 20;

const _: () = assert!(EMBEDDED.len() < COMPONENT_BYTES_MAX);

/// Why a component cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there.
    #[error("the file {} is gone", .0.display())]
    Gone(PathBuf),
    /// The file has other bytes than those that were installed.
    #[error("the file {} is damaged: its bytes are not those that were installed", .0.display())]
    Damaged(PathBuf),
    /// The system.
    #[error("{}: {source}", path.display())]
    System {
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Keeps a component, and returns its digest. It is synced to disk when this
/// returns. One that is there already is written again, which mends it.
pub fn write(directory: &Path, component: &[u8]) -> Result<String, Error> {
    let folder = directory.join(FOLDER);
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::System { path, source }
    };
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(&folder)(error));
        }
        // Whoever made it may have been killed before its name was synced.
        _ => sync_folder(directory).map_err(failed(directory))?,
    }
    let digest = digest(component);
    let path = path(directory, &digest);
    // Of its own, for two may install the same at once.
    let unfinished = folder.join(format!("{digest}.{:x}.part", rand::random::<u64>()));
    let written = || {
        let mut file = File::create_new(&unfinished)?;
        file.write_all(component)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_folder(&folder)
    };
    written().map_err(|source| {
        // What is left of it is in nobody's way.
        let _ = fs::remove_file(&unfinished);
        failed(&path)(source)
    })?;
    Ok(digest)
}

/// The component with this digest.
pub fn read(directory: &Path, named: &str) -> Result<Vec<u8>, Error> {
    let path = path(directory, named);
    let component = match fs::read(&path) {
        Ok(component) => component,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Gone(path)),
        Err(source) => return Err(Error::System { path, source }),
    };
    if digest(&component) == named {
        Ok(component)
    } else {
        Err(Error::Damaged(path))
    }
}

/// Removes a component, where it is there.
pub fn remove(directory: &Path, digest: &str) -> Result<(), Error> {
    let path = path(directory, digest);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::System {
            path,
            source: error,
        }),
        _ => Ok(()),
    }
}

fn path(directory: &Path, digest: &str) -> PathBuf {
    directory.join(FOLDER).join(format!("{digest}.wasm"))
}

/// So that names in it outlive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_may_keep_the_same_component_at_once() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        fs::create_dir(&directory).expect("a folder");
        let component = vec![7; 1 << 20];
        let begin = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        write(&directory, &component)
                    })
                })
                .collect();
            for writer in writers {
                let named = writer.join().expect("its end").expect("it is kept");
                assert_eq!(read(&directory, &named).expect("it is there"), component);
            }
        });
        let kept = fs::read_dir(directory.join(FOLDER)).expect("a folder");
        assert_eq!(kept.count(), 1);
        fs::remove_dir_all(directory).expect("it goes");
    }
}
