//! `simulate`: devices that are not there, at a TCP port or a pseudo-terminal, for whoever tries or tests a till.
//!
//! Promises: a simulated device keeps a journal that is on disk before its answer leaves; it goes wrong when told to, and
//! only then; SIGTERM ends it with 0 and leaves no link behind.
//! Absent on purpose: what devices say (the machines in `fieldkit-drivers`); devices other than the card terminal.

mod beginnings;
mod faults;
mod journal;
mod place;
mod pty;
mod terminal;

pub use faults::help as terminal_help;
pub use terminal::beside as terminal_beside;

use crate::cli::Simulate;
use crate::commands::Usage;
use crate::say::Exit;
use anyhow::Result;

/// Devices that will be simulated one day.
const PLANNED: &[&str] = &["ups", "locker", "relay", "scanner", "printer"];

/// `simulate`
pub async fn run(simulate: Simulate) -> Result<Exit> {
    match simulate {
        Simulate::Terminal(options) => terminal::run(&options).await,
        Simulate::Other(words) => {
            let device = words.first().map(String::as_str).unwrap_or_default();
            let refusal = if PLANNED.contains(&device) {
                format!("a simulated {device} is not there yet; only a terminal is")
            } else {
                format!("there is no device {device:?} to simulate; only a terminal is there")
            };
            Err(Usage(refusal).into())
        }
    }
}
