//! Branches: ops of forked streams that stand beside the rows of the journal, because a row has their place already.
//!
//! Promises: they are written in the commit that brings them; rows and branches together have one order in which causes
//! come first. Absent on purpose: the black box. It holds rows only: branches are ops that other kits keep too, and they
//! come again with the next exchange.

use crate::error::StoreError;
use crate::journal::{Journal, Plan};
use crate::store::SignedHead;
use fieldkit_core::chain::ChainError;
use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};

/// Bits that count the branch ops behind one row.
const PLACE_BITS: u32 = 20;

/// Where an op stands among rows and branches: causes before what they caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// Of a row; branch ops stand behind the row that was the newest when they came.
    pub fn of_row(row: u64) -> Self {
        Position(row << PLACE_BITS)
    }
}

/// A stored op, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it stands.
    pub position: Position,
    /// Its hash.
    pub hash: Hash,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Journal {
    /// Streams with branches.
    pub(crate) fn read_parted(connection: &Connection) -> rusqlite::Result<BTreeSet<StreamId>> {
        let mut select =
            connection.prepare("SELECT DISTINCT id FROM branch JOIN stream ON stream.no = branch.stream")?;
        let parted = select.query_map([], |row| row.get(0).map(StreamId))?;
        parted.collect()
    }

    /// The branch ops that are new; each continues a row or a branch, of the journal or of the plan.
    pub(crate) fn plan_branches<'a>(
        &self,
        branches: &'a [SealedOp],
        ops: &[&SealedOp],
    ) -> Result<Vec<&'a SealedOp>, StoreError> {
        let mut known: BTreeMap<Hash, OpId> = ops.iter().map(|op| (op.hash, op.id())).collect();
        let mut new = Vec::new();
        for op in branches {
            let id = op.id();
            if known.contains_key(&op.hash) || self.hashes(id)?.contains(&op.hash) {
                continue;
            }
            let before = OpId { seq: id.seq.saturating_sub(1), ..id };
            let continues = known.get(&op.op.prev) == Some(&before) || self.hashes(before)?.contains(&op.op.prev);
            if id.seq != 1 && !continues {
                return Err(StoreError::Gap { series: id.stream.series(), seq: id.seq, head: before.seq });
            }
            known.insert(op.hash, id);
            new.push(op);
        }
        Ok(new)
    }

    /// Whether a head ends a branch, of the journal or of the plan.
    pub(crate) fn ends_branch(&self, stream: StreamId, head: &Head, new: &[&SealedOp]) -> Result<bool, StoreError> {
        let id = OpId { stream, seq: head.seq };
        if new.iter().any(|op| op.hash == head.hash && op.id() == id) {
            return Ok(true);
        }
        Ok(self.branches_at(id)?.iter().any(|placed| placed.hash == head.hash))
    }

    /// Writes a plan's branches behind its rows.
    pub(crate) fn write_branches(
        &self,
        plan: &Plan<'_>,
        no_of: impl Fn(&StreamId) -> Option<i64>,
    ) -> rusqlite::Result<()> {
        if plan.branches.is_empty() && plan.branch_heads.is_empty() {
            return Ok(());
        }
        let newest: Option<u64> =
            self.connection().query_row("SELECT max(position) FROM branch", [], |row| row.get(0))?;
        let mut position = newest.unwrap_or(0).max(Position::of_row(self.last_row).0);
        let mut insert = self.connection().prepare_cached("INSERT INTO branch VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for op in &plan.branches {
            position += 1;
            insert.execute(params![position, op.hash.0, no_of(&op.op.stream), op.op.seq, op.bytes])?;
        }
        let mut put = self.connection().prepare_cached("INSERT OR IGNORE INTO branch_head VALUES (?1, ?2, ?3, ?4)")?;
        for signed in &plan.branch_heads {
            put.execute(params![signed.head.hash.0, no_of(&signed.stream), signed.head.seq, signed.signature])?;
        }
        Ok(())
    }

    /// Hashes of all ops at a place, the row's first.
    pub fn hashes(&self, id: OpId) -> Result<Vec<Hash>, StoreError> {
        let row = self.hash_at(&id)?;
        let branches = self.branches_at(id)?;
        Ok(row.into_iter().chain(branches.into_iter().map(|placed| placed.hash)).collect())
    }

    /// All ops at a place, the row's first.
    pub fn placed(&self, id: OpId) -> Result<Vec<Placed>, StoreError> {
        let Some(stream) = self.streams.get(&id.stream) else { return Ok(Vec::new()) };
        let row = self
            .connection()
            .prepare_cached("SELECT row, hash, bytes FROM op WHERE stream = ?1 AND seq = ?2")
            .and_then(|mut select| {
                let read = |row: &rusqlite::Row<'_>| {
                    let position = Position::of_row(row.get(0)?);
                    Ok(Placed { position, hash: Hash(row.get(1)?), bytes: row.get(2)? })
                };
                select.query_row(params![stream.no, id.seq], read).optional()
            })
            .map_err(StoreError::sqlite("read", self.path()))?;
        Ok(row.into_iter().chain(self.branches_at(id)?).collect())
    }

    /// The row of the op of a place.
    pub fn row_at(&self, id: OpId) -> Result<Option<u64>, StoreError> {
        let Some(stream) = self.streams.get(&id.stream) else { return Ok(None) };
        self.connection()
            .prepare_cached("SELECT row FROM op WHERE stream = ?1 AND seq = ?2")
            .and_then(|mut select| select.query_row(params![stream.no, id.seq], |row| row.get(0)).optional())
            .map_err(StoreError::sqlite("read", self.path()))
    }

    fn branches_at(&self, id: OpId) -> Result<Vec<Placed>, StoreError> {
        let Some(stream) = self.streams.get(&id.stream).filter(|_| self.parted.contains(&id.stream)) else {
            return Ok(Vec::new());
        };
        self.connection()
            .prepare_cached("SELECT position, hash, bytes FROM branch WHERE stream = ?1 AND seq = ?2 ORDER BY position")
            .and_then(|mut select| {
                let rows = select.query_map(params![stream.no, id.seq], |row| {
                    Ok(Placed { position: Position(row.get(0)?), hash: Hash(row.get(1)?), bytes: row.get(2)? })
                })?;
                rows.collect()
            })
            .map_err(StoreError::sqlite("read", self.path()))
    }

    /// All branch ops and where they stand, causes first.
    pub fn branches(&self) -> Result<Vec<(Position, SealedOp)>, StoreError> {
        let failed = StoreError::sqlite("read", self.path());
        let read = (|| {
            let mut select =
                self.connection().prepare_cached("SELECT position, hash, bytes FROM branch ORDER BY position")?;
            let rows = select
                .query_map([], |row| Ok((Position(row.get(0)?), Hash(row.get(1)?), row.get::<_, Vec<u8>>(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })();
        let checked = |(position, hash, bytes): (Position, Hash, Vec<u8>)| {
            self.checked_branch(hash, &bytes).map(|op| (position, op))
        };
        read.map_err(failed)?.into_iter().map(checked).collect()
    }

    fn checked_branch(&self, hash: Hash, bytes: &[u8]) -> Result<SealedOp, StoreError> {
        match SealedOp::open(bytes) {
            Ok(op) if op.hash == hash => Ok(op),
            Ok(op) => {
                let (series, seq) = (op.op.stream.series(), op.op.seq);
                Err(StoreError::chain(self.path())(ChainError::Misfiled { series, seq }))
            }
            Err(_) => Err(StoreError::damaged(self.path(), "an op of a branch cannot be read")),
        }
    }

    /// The signed ends of branches.
    pub fn branch_heads(&self) -> Result<Vec<SignedHead>, StoreError> {
        self.connection()
            .prepare_cached(
                "SELECT id, seq, hash, signature FROM branch_head JOIN stream ON no = stream ORDER BY id, seq, hash",
            )
            .and_then(|mut select| {
                let rows = select.query_map([], |row| {
                    let head = Head { seq: row.get(1)?, hash: Hash(row.get(2)?) };
                    Ok(SignedHead { stream: StreamId(row.get(0)?), head, signature: row.get(3)? })
                })?;
                rows.collect()
            })
            .map_err(StoreError::sqlite("read", self.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::Position;
    use crate::place::{BlackBoxPlace, Options};
    use crate::store::{Batch, Store};
    use crate::testing::Pen;
    use fieldkit_core::op::SealedOp;

    #[test]
    fn a_branch_stands_beside_the_rows_after_a_start() {
        let home = tempfile::tempdir().expect("a directory");
        let options = Options::new(home.path().join("data"), BlackBoxPlace::InData);
        let mut pen = Pen::new(3);
        let common = pen.write(3, 40);
        let mut copy = pen.clone();
        let (ours, theirs) = (pen.write(2, 40), copy.write(2, 48));
        let (mut store, _) = Store::open(&options).expect("a store");
        store.commit(common.batch()).expect("a commit");
        store.commit(ours.batch()).expect("a commit");
        let batch = Batch { ops: &[], heads: &theirs.heads, branches: &theirs.ops };
        store.commit(batch).expect("a commit");
        store.commit(batch).expect("again, it changes nothing");
        store.close().expect("closed");
        let (store, _) = Store::open(&options).expect("a store");
        let (places, ops): (Vec<Position>, Vec<SealedOp>) = store.branches().expect("read").into_iter().unzip();
        assert_eq!(ops, theirs.ops);
        let last = store.last_row();
        assert_eq!((last, store.place_of_row(last)), (6, Position::of_row(6).0));
        assert!(places[0] > Position::of_row(6) && places[0] < places[1] && places[1] < Position::of_row(7));
        let at = |op: &SealedOp| store.hashes(op.id()).expect("read");
        assert_eq!(at(&theirs.ops[0]), [ours.ops[0].hash, theirs.ops[0].hash]);
        assert_eq!(at(&common.ops[1]), [common.ops[1].hash]);
        let ends: Vec<_> = store.signed_ends().expect("read").iter().map(|signed| signed.head).collect();
        assert_eq!(ends, [ours.heads[0].head, theirs.heads[0].head]);
        assert!(store.verify().is_clean(), "{:?}", store.verify().fault);
    }

    #[test]
    fn a_branch_that_hangs_in_the_air_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let options = Options::new(home.path().join("data"), BlackBoxPlace::InData);
        let mut pen = Pen::new(3);
        let common = pen.write(3, 40);
        let mut copy = pen.clone();
        let (ours, theirs) = (pen.write(2, 40), copy.write(2, 48));
        let (mut store, _) = Store::open(&options).expect("a store");
        store.commit(common.batch()).expect("a commit");
        store.commit(ours.batch()).expect("a commit");
        let refused = store.commit(Batch { ops: &[], heads: &[], branches: &theirs.ops[1..] });
        assert!(matches!(refused, Err(crate::StoreError::Gap { .. })), "{refused:?}");
    }
}
