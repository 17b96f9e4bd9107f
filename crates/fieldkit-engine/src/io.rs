//! What goes into the engine and what comes out of it.
//!
//! Promises: one word for each thing that happens, and for each thing that the shell is to do; times are milliseconds.
//! Absent on purpose: the order of them within a turn (`engine`).

use crate::payment_desk::Shown;
use crate::turn::{Answer, Known, Projection, Turn};
use crate::watch_desk::{WitnessInput, WitnessName};
use fieldkit_core::decide::Command;
use fieldkit_core::id::{OpId, ReplicaKey, StreamId};
use fieldkit_core::op::{Actor, CommandKey, Head, Key, SealedOp};
use fieldkit_core::order::Order;
use fieldkit_core::payment::Payment;
use fieldkit_core::stamp::ClockQuality;
use std::sync::Arc;

/// Names one command while it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A command with all that the edge knows about it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is asked.
    pub command: Command,
    /// At which event.
    pub event: Option<OpId>,
    /// Who asks.
    pub actor: Actor,
    /// Its key.
    pub key: CommandKey,
    /// The wall clock, milliseconds since 1970 UTC.
    pub wall_ms: u64,
    /// How far the clock is to be believed.
    pub quality: ClockQuality,
}

/// What the shell must look up before a command can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// For which command.
    pub ticket: Ticket,
    /// The key, where it is not known to be new.
    pub key: Option<Key>,
    /// The order, where it is not at hand.
    pub order: Option<OpId>,
}

/// Everything that reaches the engine.
#[derive(Debug)]
pub enum Input {
    /// A command.
    Command(Ticket, Box<Asked>),
    /// What a `Load` asked for.
    Loaded {
        /// For which command.
        ticket: Ticket,
        /// The op that answered the key before, with the fingerprint of its request.
        answered: Option<(Known, SealedOp)>,
        /// Orders found: the one asked for, or the one that the answer speaks of.
        orders: Vec<Arc<Order>>,
    },
    /// No more commands for now: close the turn.
    EndOfBatch,
    /// The next turn signs the ends of streams that grew in turns before, even if it has no ops.
    SignDue,
    /// The turn's ops are durable.
    Synced,
    /// State and views hold everything up to this turn.
    Projected(u64),
    /// Ops of other replicas: each continues its stream and comes after its causes; signatures were verified, and the
    /// signed ends stand in them. `orders` are those that `Engine::wanted` named.
    Foreign(Box<Foreign>),
    /// What a witness says.
    Witness(WitnessInput),
    /// Another replica holds an own stream up to this position, by its own word.
    PeerHolds(ReplicaKey, StreamId, u64),
    /// Another replica is connected, or is not any more.
    Linked(ReplicaKey, bool),
    /// The time that `poll_watch` named has come.
    Tick(u64),
    /// Something about a device, at a time on a clock that only goes forward, in milliseconds.
    Device(OpId, u64, DeviceInput),
}

/// Ops of other replicas.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Ops that continue what is folded as their stream.
    pub ops: Vec<SealedOp>,
    /// Ops of other branches of forked streams.
    pub branches: Vec<SealedOp>,
    /// Signed ends of streams.
    pub heads: Vec<(StreamId, Head, [u8; 64])>,
    /// Orders that the ops speak of.
    pub orders: Vec<Arc<Order>>,
}

/// What reaches a device's desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceInput {
    /// Its port is open.
    LinkUp,
    /// Its port is gone.
    LinkDown,
    /// Bytes from it.
    Bytes(Vec<u8>),
    /// The time that `poll_timeout` named has come.
    Tick,
    /// The crew wants what runs on it to be stopped, if that is still possible.
    Stop,
    /// The crew wants it to be asked once more for its last transaction.
    AskAgain,
}

/// What leaves a device's desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceOutput {
    /// Bytes for it.
    Send(Vec<u8>),
    /// Close its port and open it again.
    CloseLink,
    /// Show this to the crew.
    Show(Shown),
}

/// Everything that leaves the engine.
#[derive(Debug)]
pub enum Output {
    /// Look this up and say `Loaded`.
    Load(Load),
    /// Make this durable and say `Synced`.
    Append(Turn),
    /// Answer a command.
    Reply(Ticket, Box<Answer>),
    /// Payments that a turn moved, as they are after it: what a terminal is to hear is durable now.
    Payments(Vec<Payment>),
    /// Write these rows.
    Project(Box<Projection>),
    /// Something for a device.
    Device(OpId, DeviceOutput),
    /// A desk reports: give this as a command of the replica itself, at this event or the one at hand, and close the turn.
    Decide(Ticket, Option<OpId>, Box<Command>, CommandKey),
    /// Let a witness take the second head for the first, if the first is what it holds, and say what it holds then.
    Tell(WitnessName, StreamId, Head, Head),
    /// Another branch of a stream is durable: fold everything anew.
    Refold,
}
