//! `state.db`: finished orders, command keys and a snapshot of the ledger, so that a start need not fold everything.
//!
//! Promises: every row carries a hash over its key and content, checked on load; a row that fails, a file that is
//! damaged and a file that is ahead of the journal lead to a rebuild from the journal, never to a guess.
//! Absent on purpose: anything that the journal does not say. Deleting the file loses nothing.

use crate::error::StoreError;
use crate::failpoint;
use crate::place;
use crate::sqlite::{self, Durability, Sharing};
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::op::Key;
use fieldkit_core::order::Order;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::{Path, PathBuf};

mod schema {
    refinery::embed_migrations!("migrations/state");
}

/// A command that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredCommand {
    /// Its key.
    pub key: Key,
    /// The fingerprint of the request.
    pub fingerprint: [u8; 16],
    /// The op that answers it.
    pub op: OpId,
}

/// What changed between two rows of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    /// The journal's row up to which this is the state.
    pub row: u64,
    /// Hash of the op in that row.
    pub row_hash: Hash,
    /// Orders as they are now.
    pub orders: &'a [&'a Order],
    /// Commands answered.
    pub commands: &'a [AnsweredCommand],
    /// The ledger's bytes at `row`, where it is time for a snapshot.
    pub snapshot: Option<&'a [u8]>,
}

/// The ledger as of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The journal's row.
    pub row: u64,
    /// The ledger's bytes.
    pub bytes: Vec<u8>,
}

/// Writes the state; owned by the projector.
pub struct StateWriter {
    connection: Connection,
    path: PathBuf,
    row: u64,
}

impl StateWriter {
    /// Opens the state in `directory`. One that is damaged, of another version, or not of this journal is begun anew.
    ///
    /// `hash_at_row` says which op the journal has in a row; see `Store::row_hash`.
    pub fn open(
        directory: &Path,
        hash_at_row: &mut dyn FnMut(u64) -> Result<Option<Hash>, StoreError>,
    ) -> Result<StateWriter, StoreError> {
        let path = directory.join(place::STATE);
        match StateWriter::existing(&path) {
            Ok((writer, hash)) => {
                if writer.row == 0 || hash_at_row(writer.row)? == Some(hash) {
                    return Ok(writer);
                }
                tracing::warn!(row = writer.row, "state.db is not of this journal and is rebuilt");
            }
            Err(error) if error.is_damage() || matches!(error, StoreError::Newer { .. }) => {
                tracing::warn!("{error}; it is rebuilt");
            }
            Err(error) => return Err(error),
        }
        StateWriter::begin_anew(directory)
    }

    /// Removes the state in `directory` and starts at row 0.
    pub fn begin_anew(directory: &Path) -> Result<StateWriter, StoreError> {
        let path = directory.join(place::STATE);
        remove(&path)?;
        StateWriter::existing(&path).map(|(writer, _)| writer)
    }

    fn existing(path: &Path) -> Result<(StateWriter, Hash), StoreError> {
        let mut connection =
            sqlite::open(path, Durability::Normal, Sharing::Shared).map_err(StoreError::sqlite("open", path))?;
        sqlite::migrate(&mut connection, path, schema::migrations::runner())?;
        let (row, hash) = connection
            .query_row("SELECT row, hash FROM mark", [], |row| Ok((row.get(0)?, Hash(row.get(1)?))))
            .map_err(StoreError::sqlite("read", path))?;
        Ok((StateWriter { connection, path: path.to_owned(), row }, hash))
    }

    /// The journal's row up to which the state stands.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// Writes what changed, whole or not at all.
    pub fn put(&mut self, projection: Projection<'_>) -> Result<(), StoreError> {
        let written = self.write(&projection);
        written.map_err(StoreError::sqlite("write", &self.path))?;
        failpoint::hit("state.after_commit");
        self.row = projection.row;
        Ok(())
    }

    fn write(&mut self, projection: &Projection<'_>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT INTO aggregate VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, bytes = excluded.bytes",
            )?;
            for order in projection.orders {
                let (id, bytes) = (dot(&order.order_id), order.to_bytes());
                put.execute(params![id, check("order", &id, &bytes), bytes])?;
            }
            let mut put =
                transaction.prepare_cached("INSERT INTO command VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?;
            for command in projection.commands {
                let (key, op) = (command.key.bytes(), dot(&command.op));
                let content = [&command.fingerprint[..], &op].concat();
                put.execute(params![key, command.fingerprint, op, check("command", key, &content)])?;
            }
            if let Some(bytes) = projection.snapshot {
                let hash = check("snapshot", &projection.row.to_be_bytes(), bytes);
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO snapshot VALUES (1, ?1, ?2, ?3)")?
                    .execute(params![projection.row, hash, bytes])?;
            }
            transaction
                .prepare_cached("UPDATE mark SET row = ?1, hash = ?2")?
                .execute(params![projection.row, projection.row_hash.0])?;
        }
        failpoint::hit("state.before_commit");
        transaction.commit()
    }
}

/// Reads the state beside its writer.
pub struct StateReader {
    connection: Connection,
    path: PathBuf,
}

impl StateReader {
    /// Opens the state in `directory`, which a `StateWriter` has made.
    pub fn open(directory: &Path) -> Result<StateReader, StoreError> {
        let path = directory.join(place::STATE);
        let connection = sqlite::open_reader(&path).map_err(StoreError::sqlite("open", &path))?;
        Ok(StateReader { connection, path })
    }

    /// A finished order. `Damaged` means: rebuild the state.
    pub fn order(&self, id: &OpId) -> Result<Option<Order>, StoreError> {
        let key = dot(id);
        let stored = self
            .connection
            .prepare_cached("SELECT hash, bytes FROM aggregate WHERE id = ?1")
            .and_then(|mut select| {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?));
                select.query_row([key], read).optional()
            })
            .map_err(StoreError::sqlite("read", &self.path))?;
        let Some((hash, bytes)) = stored else { return Ok(None) };
        let order = Order::from_bytes(&bytes).ok().filter(|order| order.order_id == *id);
        match order {
            Some(order) if check("order", &key, &bytes) == hash => Ok(Some(order)),
            _ => Err(StoreError::damaged(&self.path, format!("order {id} is not what was stored"))),
        }
    }

    /// What a command key was used for.
    pub fn command(&self, key: &Key) -> Result<Option<AnsweredCommand>, StoreError> {
        let stored = self
            .connection
            .prepare_cached("SELECT fingerprint, op, hash FROM command WHERE key = ?1")
            .and_then(|mut select| {
                let read = |row: &rusqlite::Row<'_>| {
                    Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 24]>(1)?, row.get::<_, [u8; 16]>(2)?))
                };
                select.query_row([key.bytes()], read).optional()
            })
            .map_err(StoreError::sqlite("read", &self.path))?;
        let Some((fingerprint, op, hash)) = stored else { return Ok(None) };
        if check("command", key.bytes(), &[&fingerprint[..], &op].concat()) != hash {
            return Err(StoreError::damaged(&self.path, "a command key is not what was stored"));
        }
        Ok(Some(AnsweredCommand { key: key.clone(), fingerprint, op: from_dot(&op) }))
    }

    /// The newest snapshot of the ledger. `Damaged` means: rebuild the state.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        let stored = self
            .connection
            .query_row("SELECT row, hash, bytes FROM snapshot", [], |row| {
                Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()
            .map_err(StoreError::sqlite("read", &self.path))?;
        let Some((row, hash, bytes)) = stored else { return Ok(None) };
        if check("snapshot", &row.to_be_bytes(), &bytes) != hash {
            return Err(StoreError::damaged(&self.path, "the snapshot of the ledger is not what was stored"));
        }
        Ok(Some(Snapshot { row, bytes }))
    }

    /// The journal's row up to which the state stands.
    pub fn row(&self) -> Result<u64, StoreError> {
        self.connection
            .query_row("SELECT row FROM mark", [], |row| row.get(0))
            .map_err(StoreError::sqlite("read", &self.path))
    }

    /// BLAKE3 of each order's canonical bytes, in ascending order of ids: what `Ledger::digest` takes.
    pub fn order_hashes(&self, each: &mut dyn FnMut(OpId, Hash)) -> Result<(), StoreError> {
        let failed = |error| StoreError::sqlite("read", &self.path)(error);
        let mut select =
            self.connection.prepare_cached("SELECT id, hash, bytes FROM aggregate ORDER BY id").map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (id, hash): ([u8; 24], [u8; 16]) = (|| Ok((row.get(0)?, row.get(1)?)))().map_err(failed)?;
            let bytes = row.get_ref(2).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
            if check("order", &id, bytes) != hash {
                let text = format!("order {} is not what was stored", from_dot(&id));
                return Err(StoreError::damaged(&self.path, text));
            }
            each(from_dot(&id), Hash::of(bytes));
        }
        Ok(())
    }
}

/// Removes a derived database and its log.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", Path::new(&name))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A dot as a key whose byte order is the order of dots.
fn dot(id: &OpId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&id.stream.0);
    key[16..].copy_from_slice(&id.seq.to_be_bytes());
    key
}

fn from_dot(key: &[u8; 24]) -> OpId {
    let (mut stream, mut seq) = ([0; 16], [0; 8]);
    stream.copy_from_slice(&key[..16]);
    seq.copy_from_slice(&key[16..]);
    OpId { stream: StreamId(stream), seq: u64::from_be_bytes(seq) }
}

/// The hash of a row: of its table, its key and its content, so that no row can stand in for another.
fn check(table: &str, key: &[u8], content: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("fieldkit 2026-11 state row");
    for part in [table.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(content);
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::order;

    fn id(seq: u64) -> OpId {
        OpId { stream: StreamId([3; 16]), seq }
    }

    fn filled(directory: &Path) -> StateWriter {
        let mut writer = StateWriter::open(directory, &mut |_| Ok(None)).unwrap();
        let orders: Vec<Order> = [300, 2, 17].into_iter().map(|seq| order(id(seq), 2)).collect();
        let key = Key::new(b"till-1/42").unwrap();
        let commands = [AnsweredCommand { key, fingerprint: [9; 16], op: id(2) }];
        let projection = Projection {
            row: 300,
            row_hash: Hash([4; 32]),
            orders: &orders.iter().collect::<Vec<_>>(),
            commands: &commands,
            snapshot: Some(b"the ledger"),
        };
        writer.put(projection).unwrap();
        writer
    }

    #[test]
    fn what_was_put_is_read_back_beside_the_writer() {
        let home = tempfile::tempdir().unwrap();
        let writer = filled(home.path());
        let reader = StateReader::open(home.path()).unwrap();
        assert_eq!(writer.row(), 300);
        assert_eq!(reader.row().unwrap(), 300);
        assert_eq!(reader.order(&id(17)).unwrap(), Some(order(id(17), 2)));
        assert_eq!(reader.order(&id(18)).unwrap(), None);
        assert_eq!(reader.snapshot().unwrap().unwrap().bytes, b"the ledger");
        let command = reader.command(&Key::new(b"till-1/42").unwrap()).unwrap().unwrap();
        assert_eq!((command.fingerprint, command.op), ([9; 16], id(2)));
        let mut seen = Vec::new();
        reader.order_hashes(&mut |id, hash| seen.push((id, hash))).unwrap();
        let expected: Vec<_> = [2, 17, 300].map(|seq| (id(seq), Hash::of(&order(id(seq), 2).to_bytes()))).into();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_row_that_was_changed_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let writer = filled(home.path());
        let spoil = |sql: &str| writer.connection.execute_batch(sql).unwrap();
        spoil("UPDATE aggregate SET bytes = (SELECT bytes FROM aggregate ORDER BY id LIMIT 1)");
        spoil("UPDATE command SET fingerprint = zeroblob(16)");
        spoil("UPDATE snapshot SET row = 299");
        let reader = StateReader::open(home.path()).unwrap();
        assert!(matches!(reader.order(&id(17)), Err(StoreError::Damaged { .. })));
        assert!(matches!(reader.command(&Key::new(b"till-1/42").unwrap()), Err(StoreError::Damaged { .. })));
        assert!(matches!(reader.snapshot(), Err(StoreError::Damaged { .. })));
        assert!(matches!(reader.order_hashes(&mut |_, _| ()), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_state_of_another_journal_or_a_damaged_one_is_begun_anew() {
        let home = tempfile::tempdir().unwrap();
        drop(filled(home.path()));
        let same = StateWriter::open(home.path(), &mut |_| Ok(Some(Hash([4; 32])))).unwrap();
        assert_eq!(same.row(), 300);
        drop(same);
        let other = StateWriter::open(home.path(), &mut |_| Ok(Some(Hash([5; 32])))).unwrap();
        assert_eq!(other.row(), 0);
        drop(other);
        let path = home.path().join(place::STATE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(StateWriter::open(home.path(), &mut |_| Ok(None)).unwrap().row(), 0);
        drop(StateWriter::open(home.path(), &mut |_| Ok(None)).unwrap());
        for spoil in [
            "UPDATE refinery_schema_history SET applied_on = 'yesterday', checksum = 'none'",
            "UPDATE refinery_schema_history SET version = version + 1",
            "DROP TABLE aggregate",
        ] {
            Connection::open(&path).unwrap().execute_batch(spoil).unwrap();
            let writer = StateWriter::open(home.path(), &mut |_| Ok(None)).unwrap();
            assert_eq!(writer.row(), 0, "{spoil}");
        }
        std::fs::write(&path, b"no database at all, and long enough to be looked at as one").unwrap();
        assert_eq!(StateWriter::open(home.path(), &mut |_| Ok(None)).unwrap().row(), 0);
    }
}
