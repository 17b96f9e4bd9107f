//! Failpoints: named places where a test kills the process.
//!
//! Promises: `FIELDKIT_FAILPOINT=name[:n]` aborts at the n-th hit of `name`; without the variable a hit costs one load.
//! Absent on purpose: injected errors. Those come from below (`strace`, full and failing file systems).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every failpoint of this crate.
pub const NAMES: &[&str] = &[
    "start.after_lock",
    "start.after_journal",
    "start.after_set_aside",
    "start.after_compare",
    "start.adopt.before_commit",
    "start.adopt.after_commit",
    "start.before_refill",
    "start.after_refill",
    "start.before_ready",
    "journal.before_grow",
    "journal.after_grow",
    "journal.before_begin",
    "journal.before_commit",
    "journal.after_commit",
    "journal.before_checkpoint",
    "journal.after_checkpoint",
    "box.before_create",
    "box.after_create",
    "box.before_write",
    "box.after_write",
    "box.after_sync",
    "box.before_grow",
    "box.after_grow",
    "box.before_marker",
    "box.after_marker",
    "box.before_marker_removed",
    "segment.after_write",
    "segment.after_rename",
    "segment.after_record",
    "state.before_commit",
    "state.after_commit",
    "views.before_commit",
    "views.after_commit",
    "people.before_commit",
    "people.after_commit",
    "ballast.before_create",
    "ballast.after_create",
    "ballast.after_release",
];

struct Armed {
    name: String,
    hits_left: AtomicU64,
}

static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
    let value = std::env::var("FIELDKIT_FAILPOINT").ok()?;
    let (name, hits) = value.split_once(':').unwrap_or((&value, "1"));
    let hits = hits.parse().unwrap_or(1);
    Some(Armed { name: name.to_owned(), hits_left: AtomicU64::new(hits) })
});

/// Ends the process here if this hit of `name` is the armed one.
pub fn hit(name: &'static str) {
    debug_assert!(NAMES.contains(&name), "the failpoint {name} is not listed");
    let Some(armed) = &*ARMED else { return };
    if armed.name == name && armed.hits_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}
