//! Embeds the till page.
//!
//! Promises: only embeds. Without `web/dist` (built by `npm run build` in `web/`) a stub takes its place, with a warning.
//! Absent on purpose: npm, the network, compression.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let dist = here.join("web/dist");
    let built = dist.join("index.html").is_file();
    let mut files = Vec::new();
    if built {
        println!("cargo::rerun-if-changed=web/dist");
        collect(&dist, "", &mut files)?;
    } else {
        // A path that is not there would make every build run this again.
        println!("cargo::rerun-if-changed=.");
        println!(
            "cargo::warning=the till page is not built: run `npm ci && npm run build` in crates/fieldkit-http/web"
        );
    }
    fs::write(out.join("pages.rs"), table(built, &files))
}

/// Files under `directory`, in order, with their paths below `dist`.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

fn table(built: bool, files: &[(String, PathBuf)]) -> String {
    let mut code = format!(
        "/// Whether the page was not built when the program was.\npub const PAGE_IS_STUB: bool = {};\n\
         static FILES: &[(&str, &[u8])] = &[\n",
        !built
    );
    for (name, path) in files {
        // Writing into a String cannot fail.
        let _ = writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    if !built {
        let stub = "<!doctype html><title>fieldkit</title><p>The till page was not built into this program.";
        let _ = writeln!(code, "    (\"index.html\", {stub:?}.as_bytes()),");
    }
    code.push_str("];\n");
    code
}
