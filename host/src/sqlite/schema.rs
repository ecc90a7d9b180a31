//! The schema of a file: made with it, and brought up to date by migrations.

use rusqlite::Connection;

use super::{Error, Options, execute, in_file, open_writer, unsynced};

/// Brings a file that an earlier release made up to date, where it is there. Nobody else
/// may work with it meanwhile, or go on with it as it was: whoever asks sees to that.
pub fn migrate(options: &Options) -> Result<(), Error> {
    let migrating = || {
        let connection = open_writer(options)?;
        transact(&connection, |found| {
            refuse_newer(options, found)?;
            apply(&connection, options, found)
        })
    };
    if options.path.exists() {
        migrating().map_err(in_file(options))?;
    }
    Ok(())
}

/// Makes the schema of a file that is new, and refuses one that has another.
pub(super) fn make_or_check(connection: &Connection, options: &Options) -> Result<(), Error> {
    transact(connection, |found| {
        refuse_newer(options, found)?;
        match found {
            0 => apply(connection, options, found),
            found if found < known(options) => Err(Error::OlderSchema {
                path: options.path.clone(),
            }),
            _ => Ok(()),
        }
    })
}

/// Does something by the version that a file has, or nothing of it.
fn transact(
    connection: &Connection,
    work: impl FnOnce(u32) -> Result<(), Error>,
) -> Result<(), Error> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let done = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(Error::from)
        .and_then(work);
    if done.is_err() {
        // Why it was not done is what is told.
        let _ = execute(connection, "ROLLBACK");
        return done;
    }
    unsynced::checked(connection, execute(connection, "COMMIT"))
}

/// The newest version that is known here.
fn known(options: &Options) -> u32 {
    u32::try_from(options.migrations.len()).unwrap_or(u32::MAX)
}

fn refuse_newer(options: &Options, found: u32) -> Result<(), Error> {
    let known = known(options);
    if found > known {
        return Err(Error::NewerSchema {
            path: options.path.clone(),
            found,
            known,
        });
    }
    Ok(())
}

fn apply(connection: &Connection, options: &Options, found: u32) -> Result<(), Error> {
    for (version, migration) in (1_u32..).zip(options.migrations).skip(found as usize) {
        connection.execute_batch(migration)?;
        connection.pragma_update(None, "user_version", version)?;
    }
    Ok(())
}
