//! A journal of another make than the model in `disk`: what a world asks of it, and what it is told to be there.
//!
//! Promises: a world without one is as it was before there were any; with one, what a kit has after an end or a start is
//! what the journal holds.
//! Absent on purpose: any such journal. The one on SQLite stands with the tests, because nothing here knows a database.

use crate::disk::SignedHead;
use crate::swarm::Fault;
use fieldkit_core::op::SealedOp;
use std::sync::Arc;

/// What one turn writes.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Ops, causes first.
    pub ops: Vec<Arc<SealedOp>>,
    /// Ops of other branches of forked streams.
    pub branches: Vec<Arc<SealedOp>>,
    /// Signed ends.
    pub heads: Vec<SignedHead>,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Somebody kills it: what it wrote stays in the cache of the system.
    Killed,
    /// Power is gone, whether or not it ran.
    PowerCut,
    /// It ends itself, because a commit failed.
    Failed,
}

/// The process must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// A copy of the files, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied(pub usize);

/// A journal that outlives the processes of one kit.
pub trait Storage {
    /// Writes a turn and syncs it; `fails` is what the disk does meanwhile, which need not stand in the way.
    fn commit(&mut self, part: &Part, fails: Option<Fault>) -> Result<(), Stopped>;

    /// The process ends, perhaps while `under_way` was written; says what is there.
    fn end(&mut self, how: End, under_way: Option<&Part>) -> Part;

    /// A process starts; says what is there, and keeps it from now on.
    fn start(&mut self) -> Part;

    /// Copies the files.
    fn copy(&mut self) -> Copied;

    /// Puts a copy in the place of the files.
    fn put_back(&mut self, copied: Copied);
}

/// Where the journals of a world's kits are made, by the number of the kit; none where the model is to be.
pub type Storages<'a> = &'a mut dyn FnMut(usize) -> Option<Box<dyn Storage>>;
