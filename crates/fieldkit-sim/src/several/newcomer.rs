//! A kit that was admitted out of sight of the others, gets goods from the hub, and is forgotten by it: the hub's backup is
//! older than the newcomer, and the newcomer goes out of reach.
//!
//! Promises: the hub forgets at the one moment at which it may matter, when the newcomer has just got goods and the news of
//! them is on its way to the others; chance alone would hardly hit it.
//! Absent on purpose: what the hub does against it (`fieldkit-engine`), and verdicts (`check`).

use super::Between;
use crate::swarm::Fault;
use crate::world::{Event, World};
use fieldkit_core::body::Body;
use fieldkit_core::op::SealedOp;
use std::sync::Arc;

/// How long the news of a grant is on its way to those whom it is not for.
const NEWS_MS: u64 = 3_000;
/// How long the newcomer sells before the hub forgets it.
const SELLS_MS: u64 = 1_500;
/// How long the newcomer is out of reach at least.
const AWAY_MS: u64 = 120_000;

impl World {
    /// There is a backup from now on, and the hub is put back to it after the newcomer's next grant.
    pub(super) fn arm_newcomer(&mut self) {
        let hub = self.hub();
        if self.kits[hub].image.is_none() && self.kits[hub].engine.is_some() {
            self.kits[hub].copy_disk(0);
        }
        self.armed.insert((hub, Fault::HubForgets));
    }

    /// The hub writes a grant for a newcomer that its backup does not know: news to others are slow now.
    pub(crate) fn note_grant(&mut self, kit: usize, ops: &[Arc<SealedOp>]) {
        if !self.armed.contains(&(kit, Fault::HubForgets)) {
            return;
        }
        let Some((newcomer, admission)) = &self.genesis.newcomer else { return };
        let (newcomer, known) = (*newcomer, admission.first());
        let unknown =
            self.kits[kit].image.as_ref().is_some_and(|image| known.is_some_and(|op| !image.journal.holds(op)));
        let to = self.kits[newcomer].replica();
        let grants = |op: &&Arc<SealedOp>| match Body::open(op.op.kind, &op.op.body) {
            Ok(Body::RightsGranted(body)) => body.to == to,
            _ => false,
        };
        let Some(grant) = ops.iter().find(grants).filter(|_| unknown) else { return };
        self.gift = Some(grant.id());
        for link in self.links.iter_mut().filter(|link| link.ends[0] != newcomer) {
            link.free_ms = link.free_ms.map(|free_ms| free_ms.max(self.now_ms + NEWS_MS));
        }
    }

    /// The newcomer gets that grant.
    pub(super) fn note_gift(&mut self, kit: usize, ops: &[SealedOp]) {
        let newcomer = self.genesis.newcomer.as_ref().is_some_and(|(newcomer, _)| *newcomer == kit);
        if newcomer && self.gift.is_some_and(|gift| ops.iter().any(|op| op.id() == gift)) {
            self.gift = None;
            self.after(SELLS_MS, Event::Between(Between::ForgetNewcomer));
        }
    }

    /// The hub is put back, and the newcomer is out of reach.
    pub(super) fn forget_newcomer(&mut self) {
        let (hub, Some((newcomer, _))) = (self.hub(), &self.genesis.newcomer) else { return };
        let newcomer = *newcomer;
        if !self.armed.remove(&(hub, Fault::HubForgets)) || self.kits[hub].engine.is_none() {
            return;
        }
        self.put_back(hub, Fault::HubForgets);
        let away_ms = AWAY_MS + self.mishap.below(AWAY_MS);
        for link in self.links.iter_mut().filter(|link| link.ends[0] == newcomer) {
            link.until_ms = link.until_ms.max(self.now_ms + away_ms);
        }
    }
}
