//! `people.db`: names and contacts, sealed under a key per person.
//!
//! Promises: a record opens only with its own key and under its own id; erasing removes the key, overwrites it in the
//! file and in the log, and leaves chains, totals and digests as they were, because ops hold a salted commitment only.
//! Absent on purpose: randomness. Keys, salts and nonces arrive as arguments.

use crate::error::StoreError;
use crate::failpoint;
use crate::place;
use crate::sqlite::{self, Durability, Sharing};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{Hash, OpId};
use rusqlite::{Connection, OptionalExtension, params};
use std::fmt;
use std::path::{Path, PathBuf};

mod schema {
    refinery::embed_migrations!("migrations/people");
}

/// Random bytes for one record. A nonce must never be used twice with one key.
#[derive(Clone)]
pub struct Secrets {
    /// The person's key.
    pub key: [u8; 32],
    /// The salt of the commitment.
    pub salt: [u8; 32],
    /// The nonce of this sealing.
    pub nonce: [u8; 24],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// What is known of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The record, opened.
    Record(Vec<u8>),
    /// It was erased.
    Erased,
    /// Nobody of that id was ever added.
    Nobody,
}

/// What an op says in place of a name: a hash that nobody can guess the name from without the salt.
pub fn commitment(salt: &[u8; 32], record: &[u8]) -> Hash {
    Hash::derived("fieldkit 2026-11 person", &[&salt[..], record].concat())
}

/// The sealed records.
pub struct People {
    connection: Connection,
    path: PathBuf,
}

impl People {
    /// Opens the records in `directory`.
    pub fn open(directory: &Path) -> Result<People, StoreError> {
        let path = directory.join(place::PEOPLE);
        let mut connection =
            sqlite::open(&path, Durability::Full, Sharing::Exclusive).map_err(StoreError::sqlite("open", &path))?;
        connection.pragma_update(None, "secure_delete", true).map_err(StoreError::sqlite("open", &path))?;
        sqlite::migrate(&mut connection, &path, &schema::migrations::runner())?;
        Ok(People { connection, path })
    }

    /// Seals a record and keeps it.
    pub fn add(&mut self, person: &OpId, record: &[u8], secrets: &Secrets) -> Result<(), StoreError> {
        let id = person.to_bytes();
        let payload = Payload { msg: record, aad: &id };
        let sealed = XChaCha20Poly1305::new(&secrets.key.into())
            .encrypt(XNonce::from_slice(&secrets.nonce), payload)
            .map_err(|_| StoreError::damaged(&self.path, "a record is too long to be sealed"))?;
        let written = (|| {
            let transaction = self.connection.transaction()?;
            transaction.execute(
                "INSERT OR REPLACE INTO person VALUES (?1, ?2, ?3, ?4)",
                params![id, secrets.salt, secrets.nonce, sealed],
            )?;
            transaction.execute("INSERT OR REPLACE INTO person_key VALUES (?1, ?2)", params![id, secrets.key])?;
            failpoint::hit("people.before_commit");
            transaction.commit()
        })();
        written.map_err(StoreError::failing(&self.path))?;
        failpoint::hit("people.after_commit");
        self.empty_log()
    }

    /// Opens a record.
    pub fn read(&self, person: &OpId) -> Result<Known, StoreError> {
        let id = person.to_bytes();
        let failed = |error| StoreError::sqlite("read", &self.path)(error);
        let stored: Option<([u8; 24], Vec<u8>)> = self
            .connection
            .query_row("SELECT nonce, sealed FROM person WHERE id = ?1", [&id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed)?;
        let Some((nonce, sealed)) = stored else { return Ok(Known::Nobody) };
        let key: Option<[u8; 32]> = self
            .connection
            .query_row("SELECT key FROM person_key WHERE id = ?1", [&id], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let Some(key) = key else { return Ok(Known::Erased) };
        let record = XChaCha20Poly1305::new(&key.into())
            .decrypt(XNonce::from_slice(&nonce), Payload { msg: &sealed, aad: &id })
            .map_err(|_| StoreError::damaged(&self.path, format!("the record of person {person} does not open")))?;
        Ok(Known::Record(record))
    }

    /// Destroys a person's key. What is sealed under it stays and says nothing any more.
    pub fn erase(&mut self, person: &OpId) -> Result<(), StoreError> {
        self.connection
            .execute("DELETE FROM person_key WHERE id = ?1", [person.to_bytes()])
            .map_err(StoreError::failing(&self.path))?;
        failpoint::hit("people.after_commit");
        self.empty_log()
    }

    /// Old pages live on in the log; it is folded in and cut to nothing, so that no key stays behind there.
    fn empty_log(&self) -> Result<(), StoreError> {
        let busy: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(StoreError::failing(&self.path))?;
        if busy == 0 { Ok(()) } else { Err(StoreError::damaged(&self.path, "its log could not be emptied")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fieldkit_core::id::StreamId;

    fn person(seq: u64) -> OpId {
        OpId { stream: StreamId([6; 16]), seq }
    }

    fn secrets(byte: u8) -> Secrets {
        Secrets { key: [byte; 32], salt: [byte + 1; 32], nonce: [byte + 2; 24] }
    }

    #[test]
    fn an_erased_person_stays_sealed_and_the_key_is_gone_from_the_disk() {
        let home = tempfile::tempdir().unwrap();
        let mut people = People::open(home.path()).unwrap();
        people.add(&person(1), b"Ada, ada@example.org", &secrets(0xa1)).unwrap();
        people.add(&person(2), b"Bob", &secrets(0xb1)).unwrap();
        assert_eq!(people.read(&person(1)).unwrap(), Known::Record(b"Ada, ada@example.org".to_vec()));
        let found = |needle: &[u8]| {
            let files =
                ["people.db", "people.db-wal"].map(|name| std::fs::read(home.path().join(name)).unwrap_or_default());
            files.iter().any(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
        };
        assert!(found(&[0xa1; 32]));
        people.erase(&person(1)).unwrap();
        assert_eq!(people.read(&person(1)).unwrap(), Known::Erased);
        assert_eq!(people.read(&person(2)).unwrap(), Known::Record(b"Bob".to_vec()));
        assert_eq!(people.read(&person(3)).unwrap(), Known::Nobody);
        assert!(!found(&[0xa1; 32]) && !found(b"Ada"));
    }

    #[test]
    fn a_record_under_another_id_does_not_open() {
        let home = tempfile::tempdir().unwrap();
        let mut people = People::open(home.path()).unwrap();
        people.add(&person(1), b"Ada", &secrets(1)).unwrap();
        let move_it = "UPDATE person SET id = ?1; ";
        people.connection.execute(move_it, [person(2).to_bytes()]).unwrap();
        people.connection.execute("UPDATE person_key SET id = ?1", [person(2).to_bytes()]).unwrap();
        assert!(matches!(people.read(&person(2)), Err(StoreError::Damaged { .. })));
    }
}
