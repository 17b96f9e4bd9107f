//! Which programs hold a device open, as far as the kernel tells us.
//!
//! Promises: reads only; sees all programs as root, else those of the same user.
//! Absent on purpose: ending them, which is a person's decision.

use crate::scan::Roots;
use std::fmt;
use std::fs;
use std::path::Path;

/// Longest name kept; the kernel's own limit is 15 bytes.
const NAME_CHARS_MAX: usize = 32;

/// A program that holds a device open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its process number.
    pub process: u32,
    /// Its name, such as `ModemManager`.
    pub name: String,
}

impl Holder {
    /// What to do about a well-known one.
    pub fn hint(&self) -> &'static str {
        match self.name.as_str() {
            "ModemManager" | "brltty" => {
                "it tries every new serial device; keep it off with kits/udev/70-fieldkit.rules, then plug in again"
            }
            _ => "end that program, or choose another device",
        }
    }

    /// Whether it is this program.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ours() {
            return write!(f, "this kit itself");
        }
        write!(f, "{} (process {})", self.name, self.process)
    }
}

/// Who holds the device at `path` open, each once.
pub fn holders(roots: &Roots, path: &Path) -> Vec<Holder> {
    let Ok(path) = path.canonicalize() else { return Vec::new() };
    let Ok(processes) = fs::read_dir(&roots.proc) else { return Vec::new() };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let holds = |process: &u32| {
        let open = fs::read_dir(roots.proc.join(process.to_string()).join("fd"));
        open.is_ok_and(|mut open| open.any(|fd| fd.is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|at| at == path))))
    };
    let mut found: Vec<Holder> =
        numbers.filter(holds).map(|process| Holder { process, name: name(roots, process) }).collect();
    found.sort();
    found
}

fn name(roots: &Roots, process: u32) -> String {
    let text = fs::read(roots.proc.join(process.to_string()).join("comm")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.trim().chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect()
}
