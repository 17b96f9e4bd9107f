//! What cannot be opened, and what is said about it.

use crate::pty::Pty;
use crate::told::{runtime, start};
use fieldkit_ports::{DeviceUrl, Plan, PortEvent};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::tempdir;

fn plan(at: &Path) -> Plan {
    let url = DeviceUrl::parse(&format!("zvt+serial:{}", at.display())).expect("a good URL");
    Plan::new("test", url.address().clone())
}

/// Why the device at a path cannot be opened, and the hint.
fn refusal(at: &Path) -> (String, &'static str) {
    let runtime = runtime();
    let (port, told) = start(&runtime, plan(at));
    let (found, _) = told.find(|event| match event {
        PortEvent::OpenFailed { why, .. } => Some((why.whole(), why.hint())),
        _ => None,
    });
    port.stop();
    found
}

#[test]
fn nothing_is_made_where_nothing_is() {
    let dir = tempdir().expect("a directory");
    let at = dir.path().join("ttyUSB0");
    let (why, hint) = refusal(&at);
    assert_eq!(why, format!("there is no {}", at.display()));
    assert_eq!(hint, "plug the device in; `fieldkit device scan` lists what is there");
    assert!(!at.exists());
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &at).expect("a link");
    assert_eq!(refusal(&at).0, format!("there is no {}", at.display()));
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn what_is_no_device_is_not_touched() {
    let dir = tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "kept").expect("a file");
    assert_eq!(refusal(&file).0, format!("{} is a plain file, not a serial device", file.display()));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "kept");
    assert_eq!(refusal(dir.path()).0, format!("{} is a directory, not a serial device", dir.path().display()));
    let null = "/dev/null is a device without a serial line, not a serial device";
    assert_eq!(refusal(Path::new("/dev/null")).0, null);
}

#[test]
fn a_line_is_opened_once() {
    let dir = tempdir().expect("a directory");
    let at = dir.path().join("tty");
    let pty = Pty::at(&at);
    let runtime = runtime();
    let (first, told) = start(&runtime, plan(&at));
    told.up();
    let (_second, waiting) = start(&runtime, plan(&at));
    let (why, _) = waiting.find(|event| match event {
        PortEvent::OpenFailed { why, .. } => Some(why.whole()),
        _ => None,
    });
    assert_eq!(why, format!("{} is in use by this kit itself", at.display()));
    // The first is not disturbed, and the second has it when the first lets go.
    std::io::Write::write_all(&mut &pty.master, b"x").expect("the first reads");
    told.find(|event| matches!(event, PortEvent::Bytes(bytes) if bytes == b"x").then_some(()));
    first.stop();
    waiting.up();
}

/// A program that does something with a device until its input ends.
struct Other {
    child: std::process::Child,
}

impl Other {
    fn new(command: &mut Command) -> Other {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("it was asked for");
        BufReader::new(output).read_line(&mut line).expect("it speaks");
        assert_eq!(line, "ready\n");
        Other { child }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }
}

#[test]
fn the_program_that_has_the_line_is_named() {
    let dir = tempdir().expect("a directory");
    let at = dir.path().join("tty");
    let pty = Pty::at(&at);
    let other = Other::new(Command::new("flock").arg(&pty.real).args(["sh", "-c", "echo ready; cat"]));
    let runtime = runtime();
    let (_port, told) = start(&runtime, plan(&at));
    let (why, _) = told.find(|event| match event {
        PortEvent::OpenFailed { why, .. } => Some(why.whole()),
        _ => None,
    });
    let process = other.child.id();
    assert!(why.starts_with(&format!("{} is in use by flock (process {process})", at.display())), "{why}");
    other.end();
    told.up();
}

#[test]
fn a_program_that_listens_in_is_named() {
    let dir = tempdir().expect("a directory");
    let at = dir.path().join("tty");
    let pty = Pty::at(&at);
    let script = format!("exec 3<>{}; echo ready; cat", pty.real.display());
    let other = Other::new(Command::new("sh").args(["-c", &script]));
    let runtime = runtime();
    let (_port, told) = start(&runtime, plan(&at));
    let (holders, _) = told.find(|event| match event {
        PortEvent::Up { also_held_by, .. } => Some(also_held_by.clone()),
        _ => None,
    });
    assert!(holders.iter().any(|holder| holder.process == other.child.id() && holder.name == "sh"), "{holders:?}");
    other.end();
}
