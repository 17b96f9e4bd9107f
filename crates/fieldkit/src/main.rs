//! The program `fieldkit`: parses, runs one command, ends with its exit code.
//!
//! Promises: every failure ends with its chain of causes and a next step; a panic anywhere ends the process at once,
//! because a till that limps is worse than one that restarts.

use clap::Parser;
use fieldkit::say::Exit;
use fieldkit::{cli, commands, say};
use std::process::ExitCode;

fn main() -> ExitCode {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default_hook(info);
        std::process::abort();
    }));
    let cli = cli::Cli::parse();
    log(matches!(cli.command, cli::Command::Up(_) | cli::Command::Demo(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::talk(&format!("error: cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(commands::run(cli));
    match exit {
        Ok(exit) => exit.into(),
        Err(error) if error.downcast_ref::<commands::Usage>().is_some() => {
            say::talk(&format!("error: {error}"));
            Exit::Usage.into()
        }
        Err(error) => say::error(&error).into(),
    }
}

/// Logs to stderr: the daemon tells what it does, other commands only what goes wrong.
fn log(daemon: bool) {
    let default = if daemon { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("FIELDKIT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
