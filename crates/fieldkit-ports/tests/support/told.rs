//! What a port told, and waiting for it with a deadline.

use fieldkit_ports::{Plan, Port, PortEvent};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// No state takes longer than this, on a machine that does other things as well.
const DEADLINE: Duration = Duration::from_secs(10);
/// Events that may wait for the test.
const EVENTS_MAX: usize = 4_096;

pub struct Told {
    events: Receiver<PortEvent>,
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

pub fn start(runtime: &Runtime, plan: Plan) -> (Port, Told) {
    let (sender, events) = sync_channel(EVENTS_MAX);
    // A test that ended takes no more.
    let tell = move |event| drop(sender.send(event));
    (Port::start(runtime.handle(), plan, tell).expect("a thread"), Told { events })
}

impl Told {
    /// The first event that `pick` takes, and how long it took to come.
    #[track_caller]
    pub fn find<T>(&self, mut pick: impl FnMut(&PortEvent) -> Option<T>) -> (T, Duration) {
        let begun = Instant::now();
        let mut others = Vec::new();
        while let Some(left) = DEADLINE.checked_sub(begun.elapsed()) {
            let Ok(event) = self.events.recv_timeout(left) else { break };
            if let Some(found) = pick(&event) {
                return (found, begun.elapsed());
            }
            others.push(event);
        }
        panic!("it never came; what came: {others:?}");
    }

    /// Waits for the link.
    #[track_caller]
    pub fn up(&self) -> (fieldkit_ports::LinkNumber, Duration) {
        self.find(|event| match event {
            PortEvent::Up { link, .. } => Some(*link),
            _ => None,
        })
    }

    /// Waits for its end and says why.
    #[track_caller]
    pub fn down(&self) -> (String, Duration) {
        self.find(|event| match event {
            PortEvent::Down { why } => Some(why.whole()),
            _ => None,
        })
    }

    /// Nothing is told for so long.
    #[track_caller]
    pub fn nothing_for(&self, span: Duration) {
        if let Ok(event) = self.events.recv_timeout(span) {
            panic!("nothing should be told, and not {event:?}");
        }
    }
}
