//! The loop's part when a kit went back: going on under a new key.
//!
//! Promises: the new key is on the disk, with all that admits it, before the old one is given up; nothing is sold between
//! a start and the ops that a new key is owed.
//! Absent on purpose: what witnesses tell (`watching`), and what a new key writes (`fieldkit-engine`).

use super::{Shop, fatal_text};
use crate::identity::Identity;
use fieldkit_core::body::RollbackNoticed;
use fieldkit_http::desk::Update;

impl Shop {
    /// Before anything else: a key that is older than the journal is given up, and what a new key is owed is written.
    pub(super) fn go_on(&mut self) {
        let succession = self.succession.take();
        if !self.store.takes_ops() {
            return;
        }
        if let Some(noticed) = self.engine.key_went_back() {
            return self.follow(noticed);
        }
        let (wall_ms, quality) = self.standing.time(self.engine.ledger().floor_ms);
        if let Some(succession) = succession
            && self.engine.complete(&succession, wall_ms, quality)
        {
            self.standing.rolled_back(&succession.noticed);
            self.turn();
        }
    }

    /// Goes on as a new replica: the old series ends here, a new one begins.
    pub(super) fn follow(&mut self, noticed: RollbackNoticed) {
        let saved = Identity::generate(&self.label).and_then(|identity| {
            let succession = self.engine.succession(&identity.key, &self.label, noticed);
            let identity = identity.going_on(succession.clone());
            identity.save(&self.data).map(|()| (identity, succession))
        });
        let (identity, succession) = match saved {
            Ok(saved) => saved,
            Err(error) => fatal_text(&format!("this kit went back in time and no new key could be made: {error:#}")),
        };
        let (wall_ms, quality) = self.standing.time(self.engine.ledger().floor_ms);
        self.standing.rolled_back(&succession.noticed);
        self.engine.follow(identity.key, &succession, wall_ms, quality);
        self.turn();
        self.publish(Update::Status);
    }
}

#[cfg(test)]
mod tests {
    use crate::kit::{Running, Settings, Stall};
    use fieldkit_core::id::{Hash, ReplicaKey};
    use fieldkit_core::op::Head;
    use fieldkit_core::witness::{Sighting, Verdict};
    use fieldkit_http::desk::{Ask, Shelf};
    use std::fs;
    use std::path::Path;

    fn look<T: Send + 'static>(running: &Running, look: impl FnOnce(&Shelf<'_>) -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        let ask = Ask::Look(Box::new(move |shelf| sender.send(look(shelf)).expect("the test waits")));
        assert!(running.desk.ask(ask).is_ok(), "the kit runs");
        receiver.recv().expect("a look is answered")
    }

    /// Its key, whether that is admitted, whether it goes on for `before`, and the notice about it.
    fn stands(running: &Running, before: ReplicaKey) -> (ReplicaKey, bool, bool, Option<String>) {
        look(running, move |shelf| {
            let notice = shelf.notices.iter().find(|notice| notice.code == "rolled_back");
            let admitted = shelf.ledger.replicas.contains_key(&shelf.replica) && shelf.ledger.anomalies.is_empty();
            let goes_on = shelf.ledger.goes_on_for(shelf.replica, before);
            (shelf.replica, admitted, goes_on, notice.map(|notice| notice.text.clone()))
        })
    }

    /// A page has seen more than there is.
    fn tell(running: &Running) {
        let stream = look(running, |shelf| shelf.stream);
        let sighting = Sighting::Head { stream, head: Head { seq: 999, hash: Hash::of(b"999") } };
        let (reply, verdict) = tokio::sync::oneshot::channel();
        assert!(running.desk.ask(Ask::Witness { sighting: Some(sighting), page: None, reply }).is_ok(), "the kit runs");
        assert_eq!(verdict.blocking_recv(), Ok(Verdict::Ahead));
    }

    /// Ops in the journal, all of them sound.
    fn verified(running: &Running) -> u64 {
        let (reply, verified) = tokio::sync::oneshot::channel();
        assert!(running.desk.ask(Ask::Verify { reply }).is_ok(), "the kit runs");
        let verified = verified.blocking_recv().expect("a check is answered");
        assert_eq!(verified.first_bad, None);
        verified.ops
    }

    fn start(data: &Path) -> Running {
        Running::start(&Settings::at(data)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// A kit that was told by a page that it went back: its key before and the one after.
    fn told(data: &Path) -> (ReplicaKey, ReplicaKey) {
        let running = start(data);
        let before = look(&running, |shelf| shelf.replica);
        tell(&running);
        let (after, admitted, goes_on, notice) = stands(&running, before);
        assert!(after != before && admitted && goes_on && notice.is_some());
        running.stop();
        (before, after)
    }

    fn founded(data: &Path) {
        Stall::bench().found(&Settings::at(data)).unwrap_or_else(|error| panic!("{error:#}"));
    }

    #[test]
    fn a_key_file_older_than_the_journal_is_given_up() {
        let home = tempfile::tempdir().expect("a directory");
        founded(home.path());
        let (old, newer) = told(home.path());
        let keys = home.path().join("keys");
        let kept = keys.join(format!("before-{}.key", old.label()));
        fs::copy(kept, keys.join("kit.key")).expect("the old key is put back");
        let running = start(home.path());
        let (now, admitted, goes_on, notice) = stands(&running, newer);
        assert!(now != old && now != newer && admitted && goes_on, "a new key goes on for the newest");
        assert!(notice.is_some_and(|text| text.starts_with("This kit's key is older than its journal")));
        let ops = verified(&running);
        running.stop();
        let running = start(home.path());
        assert_eq!(stands(&running, newer), (now, true, true, None), "once is enough");
        assert_eq!(verified(&running), ops);
        running.stop();
    }

    #[test]
    fn a_kit_that_died_before_its_new_key_was_admitted_is_admitted_by_the_next_start() {
        let (home, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        founded(home.path());
        // The same kit as it would be had it died between the key file and the journal.
        for file in fs::read_dir(home.path()).expect("it is there").map(|file| file.expect("it is read").path()) {
            if let Some(name) = file.file_name().filter(|_| file.is_file()) {
                fs::copy(&file, other.path().join(name)).expect("it is copied");
            }
        }
        let (old, newer) = told(home.path());
        fs::create_dir(other.path().join("keys")).expect("it is made");
        fs::copy(home.path().join("keys/kit.key"), other.path().join("keys/kit.key")).expect("it is copied");
        let running = start(other.path());
        let (now, admitted, goes_on, notice) = stands(&running, old);
        assert_eq!((now, admitted, goes_on), (newer, true, true));
        assert!(notice.is_some_and(|text| text.contains("a page had seen entry 999")));
        let ops = verified(&running);
        running.stop();
        let running = start(other.path());
        assert_eq!(stands(&running, old), (newer, true, true, None), "nothing more is owed");
        assert_eq!(verified(&running), ops);
        running.stop();
    }
}
