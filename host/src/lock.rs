//! One host at a time works on a data directory: two would apply each other's
//! deliveries, and what is mended under a running host would be undone.
//!
//! The lock is the system's, on the directory itself; it ends with the process,
//! however that ends. Commands that only write down what a host picks up take
//! none, but where an earlier release made the files: a host of that release may be
//! running, and would go on with a schema that it does not know.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use crate::sqlite::{self, Database, Options};

/// Why a data directory cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds it.
    #[error(
        "a host is running on the data directory {}: stop it first",
        directory.display()
    )]
    Taken {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory cannot be made.
    #[error(transparent)]
    Directory(#[from] sqlite::Error),
    /// The directory cannot be opened or locked.
    #[error("{} cannot be locked: {source}", directory.display())]
    Lock {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A data directory that no other host works on, for as long as this is held.
#[derive(Debug)]
pub struct DirectoryLock {
    directory: PathBuf,
    _file: File,
}

impl DirectoryLock {
    /// Takes a data directory, which is made where it is not there.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        sqlite::make_directory(directory)?;
        let failed = |source| Error::Lock {
            directory: directory.to_path_buf(),
            source,
        };
        let file = File::open(directory).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                directory: directory.to_path_buf(),
                _file: file,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::Taken {
                directory: directory.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Opens a file of a data directory. One that an earlier release made is brought up to
/// date first, under the lock.
///
/// # Errors
///
/// [`sqlite::Error::OlderSchema`] where a host works on the directory.
pub fn open(directory: &Path, options: &Options) -> Result<Database, sqlite::Error> {
    let opened = Database::open(options);
    if !matches!(opened, Err(sqlite::Error::OlderSchema { .. })) {
        return opened;
    }
    let _alone = match DirectoryLock::take(directory) {
        Ok(alone) => alone,
        Err(Error::Taken { .. }) => return opened,
        Err(Error::Directory(error)) => return Err(error),
        Err(Error::Lock { directory, source }) => {
            return Err(sqlite::Error::Path {
                path: directory,
                source,
            });
        }
    };
    sqlite::migrate(options)?;
    Database::open(options)
}
