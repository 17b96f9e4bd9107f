//! How SQLite is opened here, and what its errors mean.
//!
//! Promises: no file is opened with defaults; a page that cannot be read is told from a page that is wrong.
//! Absent on purpose: tables, which belong to the files that own them.

use crate::error::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;

/// An error of SQLite.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SqliteError(#[from] rusqlite::Error);

impl SqliteError {
    fn code(&self) -> Option<ErrorCode> {
        self.0.sqlite_error_code()
    }

    /// Whether the disk (or a limit on the file) is full.
    pub fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether the file's content is wrong, as opposed to unreadable or busy.
    pub fn is_damage(&self) -> bool {
        is_damage(&self.0)
    }
}

/// Whether an error means that the file's content is wrong, as opposed to unreadable or busy.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(error, text) => match error.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch => true,
            // A table or column that is gone: the schema page was hit.
            ErrorCode::Unknown => text.as_deref().is_some_and(|text| text.contains("no such")),
            _ => false,
        },
        // Our own statements are sound, so a schema that cannot take them is not.
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

/// How hard a file's commits are pressed onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Each commit is synced.
    Full,
    /// The newest commits may be lost, never the file.
    Normal,
}

/// Whether other connections may look at the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// This connection only.
    Exclusive,
    /// Readers beside the writer.
    Shared,
}

/// Opens a database for writing.
pub(crate) fn open(path: &Path, durability: Durability, sharing: Sharing) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(48);
    harden(&connection)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    if sharing == Sharing::Exclusive {
        // Before the first access: the WAL index then lives in memory and a full disk cannot break reading.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        // A connection dropped on an error leaves the log alone; `close` folds it in.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    connection.pragma_update(None, "page_size", 4096)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", -1)?;
    connection.pragma_update(None, "wal_autocheckpoint", if sharing == Sharing::Exclusive { 0 } else { 1000 })?;
    connection.pragma_update(None, "synchronous", if durability == Durability::Full { "FULL" } else { "NORMAL" })?;
    Ok(connection)
}

/// Opens a database for reading beside its writer.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(32);
    harden(&connection)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Brings the schema of `path` up to date; a file of a later version is refused.
pub(crate) fn migrate(connection: &mut Connection, path: &Path, runner: &refinery::Runner) -> Result<(), StoreError> {
    // Looked at first, so that damage is seen as damage and not as a failed migration.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(StoreError::sqlite("read", path))?;
    match runner.run(connection) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            refinery::error::Kind::MissingVersion(_) => StoreError::Newer { path: path.to_owned() },
            refinery::error::Kind::Connection(_, source) => match source.downcast_ref::<rusqlite::Error>() {
                Some(rusqlite::Error::SqliteFailure(code, text)) => {
                    StoreError::sqlite("set up", path)(rusqlite::Error::SqliteFailure(*code, text.clone()))
                }
                _ => StoreError::damaged(path, format!("its schema cannot be read ({error})")),
            },
            _ => StoreError::damaged(path, format!("its schema is not the one it should be ({error})")),
        }),
    }
}
