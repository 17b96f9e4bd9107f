//! The reference page of the command line is the program's own help: `docs/reference/cli.md` stands as it is printed.
//!
//! To write it anew after a change: FIELDKIT_WRITE=1 cargo test -p fieldkit --test reference

use clap::CommandFactory;
use fieldkit::cli::Cli;
use std::fmt::Write;
use std::path::Path;

/// The help of a command and of those below it.
fn section(command: &mut clap::Command, path: &str, out: &mut String) {
    // Options of every command are told once.
    let below = path.contains(' ');
    let told = |arg: clap::Arg| {
        let again = below && (arg.is_global_set() || arg.get_id() == "help");
        arg.hide_env_values(true).hide(again)
    };
    *command = command.clone().mut_args(told);
    let depth = "#".repeat(2 + path.split(' ').count().min(3) - 1);
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(out, "{depth} {path}\n\n```text\n{}\n```\n", lines.join("\n").trim()).expect("a String takes it");
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for name in names {
        if let Some(below) = command.find_subcommand_mut(&name) {
            section(below, &format!("{path} {name}"), out);
        }
    }
}

#[test]
fn the_reference_page_is_what_the_program_says() {
    let mut out = String::from(
        "# The command line\n\nMade from the program's own help by `crates/fieldkit/tests/reference.rs`; not written by hand.\n\n",
    );
    let mut program = Cli::command().term_width(100);
    program.build();
    section(&mut program, "fieldkit", &mut out);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    if std::env::var_os("FIELDKIT_WRITE").is_some() {
        std::fs::write(&page, &out).expect("the page can be written");
    }
    let known = std::fs::read_to_string(&page).unwrap_or_default();
    let first = out.lines().zip(known.lines()).find(|(now, known)| now != known);
    assert!(out == known, "docs/reference/cli.md is old; first difference: {first:?}");
}
