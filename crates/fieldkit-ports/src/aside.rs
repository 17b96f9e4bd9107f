//! Calls that may hang, on threads of their own.
//!
//! Promises: nobody waits for such a call longer than they chose to; a call that hangs keeps its thread and whatever it
//! holds until the kernel lets go, and nothing else. Opening is refused while too many calls hang.
//! Absent on purpose: ending a thread that hangs in the kernel, which nothing can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::oneshot;

/// Most calls under way per port. One that hangs is tried again at most so often.
pub(crate) const ASIDES_MAX: u32 = 4;

/// The calls of one port that are under way.
#[derive(Clone, Debug)]
pub(crate) struct Asides {
    name: String,
    count: Arc<AtomicU32>,
}

/// Counts a call down, however it ends.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Asides {
    pub fn new(name: &str) -> Asides {
        Asides { name: name.to_owned(), count: Arc::default() }
    }

    /// Whether so many calls hang that another one should not be begun.
    pub fn is_full(&self) -> bool {
        self.count.load(Ordering::Acquire) >= ASIDES_MAX
    }

    /// Begins a call; its result comes by the receiver, or is dropped on the call's own thread if that is gone.
    /// Without a thread, which is a system without memory, the receiver ends empty and `call` is dropped here.
    pub fn begin<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        self.count.fetch_add(1, Ordering::AcqRel);
        let counted = Counted(self.count.clone());
        let work = move || {
            // Whoever asked may have gone on without it.
            drop(sender.send(call()));
            drop(counted);
        };
        if let Err(error) = std::thread::Builder::new().name(format!("io-{}", self.name)).spawn(work) {
            tracing::error!(device = self.name, "no thread can be started: {error}");
        }
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn calls_that_hang_are_counted_until_they_end() {
        let asides = Asides::new("test");
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        let hang =
            |released: Arc<std::sync::Mutex<mpsc::Receiver<()>>>| move || released.lock().expect("not poisoned").recv();
        let calls: Vec<_> = (0..ASIDES_MAX).map(|_| asides.begin(hang(released.clone()))).collect();
        assert!(asides.is_full());
        drop(release);
        for call in calls {
            assert!(call.blocking_recv().expect("the call ends").is_err());
        }
        let (ended, end) = mpsc::channel();
        // The last one counts down after its result was taken: wait for the state.
        std::thread::spawn(move || {
            while asides.is_full() {
                std::thread::yield_now();
            }
            ended.send(())
        });
        end.recv_timeout(std::time::Duration::from_secs(10)).expect("the calls are counted down");
    }
}
