//! What is missing of a stream with branches, against plain sets; and how many loads it takes to find it.

use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::op::Head;
use fieldkit_sync::shelf::{Ask, lacking};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeSet;

const STREAM: StreamId = StreamId([1; 16]);

/// A stream with branches: each op by its position and the op before it.
struct Tree(Vec<(u64, Option<usize>)>);

impl Tree {
    /// Grows at the end, or at some op behind it.
    fn of(steps: &[(bool, usize)]) -> Self {
        let mut ops: Vec<(u64, Option<usize>)> = vec![(1, None)];
        for (on, back) in steps {
            let before = if *on { ops.len() - 1 } else { back % ops.len() };
            ops.push((ops[before].0 + 1, Some(before)));
        }
        Tree(ops)
    }

    fn hash(&self, at: usize) -> Hash {
        Hash::of(&(at as u64).to_le_bytes())
    }

    fn head(&self, at: usize) -> Head {
        Head { seq: self.0[at].0, hash: self.hash(at) }
    }

    fn before(&self, op: OpId, hash: &Hash) -> Option<Hash> {
        let at = (0..self.0.len()).find(|at| self.hash(*at) == *hash).expect("only known ops are loaded");
        assert_eq!(self.0[at].0, op.seq);
        Some(self.0[at].1.map_or(Hash::default(), |before| self.hash(before)))
    }

    fn below(&self, ends: &[usize]) -> BTreeSet<Hash> {
        let mut found = BTreeSet::new();
        for end in ends {
            let mut at = Some(*end);
            while let Some(op) = at {
                found.insert(self.hash(op));
                at = self.0[op].1;
            }
        }
        found
    }
}

proptest! {
    #[test]
    fn what_is_lacking_is_what_lies_below_the_tips_alone(
        steps in vec((prop::bool::weighted(0.8), any::<usize>()), 0..40),
        tips in vec(any::<usize>(), 0..4),
        common in vec(any::<usize>(), 0..6),
    ) {
        let tree = Tree::of(&steps);
        let within = |ends: &[usize]| ends.iter().map(|end| end % tree.0.len()).collect::<Vec<_>>();
        let (tips, common) = (within(&tips), within(&common));
        let heads = |ends: &[usize]| ends.iter().map(|end| tree.head(*end)).collect::<Vec<_>>();
        let ask = Ask { stream: STREAM, tips: heads(&tips), common: heads(&common) };
        let found = lacking(&ask, |op, hash| tree.before(op, hash));
        let expected: BTreeSet<Hash> = tree.below(&tips).difference(&tree.below(&common)).copied().collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn the_work_is_what_is_missing_and_not_what_is_there() {
    let tree = Tree::of(&[(true, 0); 2000]);
    let loads = Cell::new(0);
    let ask = Ask { stream: STREAM, tips: vec![tree.head(1999)], common: vec![tree.head(1989), tree.head(3)] };
    let found = lacking(&ask, |op, hash| {
        loads.set(loads.get() + 1);
        tree.before(op, hash)
    });
    assert_eq!((found.len(), loads.get()), (10, 10));
}
