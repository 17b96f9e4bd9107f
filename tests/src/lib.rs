//! What tests, campaigns and the bench share: the program under test, scratch directories, a stall to begin with.
//!
//! Promises: the environment is hermetic (no variable of the caller's reaches the program); scratch directories are
//! this process's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test: `$FIELDKIT`, else the one beside this executable.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("FIELDKIT") {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("where is this executable? {error}"));
    let found = own.ancestors().skip(1).map(|dir| dir.join("fieldkit")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no fieldkit beside {}; build it first", own.display()))
}

/// An empty directory of this process for `name`.
pub fn scratch(name: &str) -> PathBuf {
    let base = std::env::var_os("FIELDKIT_SCRATCH").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("fieldkit-{name}-{}", std::process::id()));
    if dir.exists() {
        std::fs::remove_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    }
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir
}

/// Runs one command of the program on `data`.
pub fn run(program: &Path, data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .arg("--data")
        .arg(data)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.output().unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()))
}

/// Runs one command that must succeed; returns its stdout.
pub fn succeed(program: &Path, data: &Path, arguments: &[&str]) -> String {
    let output = run(program, data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a stall with two kinds of goods in `data`.
pub fn stall(program: &Path, data: &Path) {
    succeed(program, data, &["init", "--name", "Test Stall", "--currency", "EUR", "--tax", "190000", "--json"]);
    succeed(program, data, &["catalog", "set", "MUG", "--name", "Mug", "--price", "12.50", "--count", "20"]);
    succeed(program, data, &["catalog", "set", "TEE", "--name", "Tee", "--price", "25.00", "--count", "5"]);
}

/// Resident memory of this process, in KiB.
pub fn resident_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|value| value.parse().ok()).unwrap_or(0)
}
