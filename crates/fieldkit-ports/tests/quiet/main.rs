//! What a port costs: processor time of the whole process, without the one that plays the device, while the device is gone,
//! silent or mad.
//!
//! Promises: one measurement at a time, in a process that does nothing else; time that other programs take is not counted.

use fieldkit_ports::{DeviceUrl, Plan, PortCommand, PortEvent};
use rustix::time::{ClockId, clock_gettime};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/told.rs"]
mod told;

use pty::Pty;
use told::{runtime, start};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// How long each is measured.
const SPAN: Duration = Duration::from_secs(3);

fn plan(at: &Path) -> Plan {
    let url = DeviceUrl::parse(&format!("zvt+serial:{}", at.display())).expect("a good URL");
    Plan::new("test", url.address().clone())
}

/// Processor time of this process, in milliseconds.
fn spent_ms() -> u64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(spent.tv_sec).expect("positive") * 1_000 + u64::try_from(spent.tv_nsec).expect("positive") / 1_000_000
}

/// The running thread, as the kernel's tables name it.
fn this_thread() -> PathBuf {
    Path::new("/proc").join(std::fs::read_link("/proc/thread-self").expect("a table of threads"))
}

/// Processor time of one thread, in milliseconds.
fn thread_ms(thread: &Path) -> u64 {
    let text = std::fs::read_to_string(thread.join("schedstat")).expect("the kernel counts");
    let spent_ns: u64 = text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    spent_ns / 1_000_000
}

/// Asserts that less than so many percent of one processor were used since.
#[track_caller]
fn cost_below(percent: u64, begun: Instant, before_ms: u64, what: &str) {
    let (spent, span) =
        (spent_ms().saturating_sub(before_ms), u64::try_from(begun.elapsed().as_millis()).expect("short"));
    println!("{what}: {spent} ms of processor time in {span} ms");
    assert!(spent * 100 < percent * span, "{what}: {spent} ms of processor time in {span} ms");
}

#[test]
fn a_device_that_is_gone_costs_nearly_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let dir = tempdir().expect("a directory");
    let pty = Pty::at(&dir.path().join("tty"));
    let runtime = runtime();
    let (_port, told) = start(&runtime, plan(&dir.path().join("tty")));
    told.up();
    pty.unplug();
    let (begun, before) = (Instant::now(), spent_ms());
    told.down();
    told.find(|event| matches!(event, PortEvent::OpenFailed { .. }).then_some(()));
    told.nothing_for(SPAN);
    cost_below(5, begun, before, "unplugged");
}

#[test]
fn a_silent_device_costs_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let dir = tempdir().expect("a directory");
    let _pty = Pty::at(&dir.path().join("tty"));
    let runtime = runtime();
    let (_port, told) = start(&runtime, plan(&dir.path().join("tty")));
    told.up();
    let (begun, before) = (Instant::now(), spent_ms());
    told.nothing_for(SPAN);
    cost_below(1, begun, before, "silent");
}

/// Floods a port with pieces of so many bytes for the span; what it passed on, and what it dropped.
fn flood(piece: usize, what: &str) -> (u64, u64) {
    let _alone = ONE_AT_A_TIME.lock();
    let dir = tempdir().expect("a directory");
    let pty = Pty::at(&dir.path().join("tty"));
    let runtime = runtime();
    let passed = std::sync::Arc::new(AtomicU64::new(0));
    let counted = passed.clone();
    let (sender, told) = std::sync::mpsc::channel();
    let port = fieldkit_ports::Port::start(runtime.handle(), plan(&dir.path().join("tty")), move |event| match event {
        PortEvent::Bytes(bytes) => drop(counted.fetch_add(bytes.len() as u64, Ordering::Relaxed)),
        other => drop(sender.send(other)),
    });
    let port = port.expect("a thread");
    let up = told.recv_timeout(SPAN).expect("the link opens");
    assert!(matches!(up, PortEvent::Up { .. }), "{up:?}");
    let (begun, before) = (Instant::now(), spent_ms());
    let mut master = pty.master.try_clone().expect("a second handle");
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    let (send_name, name) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        send_name.send(this_thread()).expect("it is wanted");
        let bytes = vec![0x06; piece];
        // It outlasts the measurement, so that its own time can be read; the end of the link ends it.
        while master.write_all(&bytes).is_ok() && !ended.load(Ordering::Relaxed) {}
    });
    let device = name.recv_timeout(SPAN).expect("it runs");
    // Nothing but bytes comes while it lasts.
    assert!(told.recv_timeout(SPAN).is_err());
    cost_below(20, begun, before + thread_ms(&device), what);
    let span_ms = u64::try_from(begun.elapsed().as_millis()).expect("short");
    let passed_so_far = passed.load(Ordering::Relaxed);
    assert!(
        passed_so_far <= 64 * 1_024 + 64 * 1_024 * span_ms / 1_000 + 4_096,
        "{passed_so_far} bytes in {span_ms} ms"
    );
    // It still does what it is told.
    let asked = Instant::now();
    port.command(PortCommand::Close).expect("there is room");
    let down = told.recv_timeout(SPAN).expect("it closes");
    assert!(matches!(down, PortEvent::Down { .. }), "{down:?}");
    assert!(asked.elapsed() < Duration::from_millis(200), "it took {:?}", asked.elapsed());
    over.store(true, Ordering::Relaxed);
    let (passed, counts) = (passed.load(Ordering::Relaxed), port.counts());
    println!("{what}: {passed} bytes passed, {} dropped", counts.dropped);
    assert_eq!(passed + counts.dropped, counts.received);
    (passed, counts.dropped)
}

#[test]
fn a_flood_is_cut_to_its_rate() {
    let (passed, dropped) = flood(4_096, "flood");
    assert!(passed >= 64 * 1_024 && dropped > 0, "{passed} passed, {dropped} dropped");
}

#[test]
fn a_flood_of_single_bytes_is_no_dearer() {
    let (passed, _) = flood(1, "flood of single bytes");
    assert!(passed >= 64 * 1_024, "{passed} passed");
}
