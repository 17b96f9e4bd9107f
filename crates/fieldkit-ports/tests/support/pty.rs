//! Pseudo-terminals as devices: the test holds the master, the port opens the other end over a link of its own.
//!
//! Promises: a device is unplugged by removing the link and closing the master; the kernel may give its number to another
//! test at once, which is why no port here opens `/dev/pts` by number.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub struct Pty {
    pub master: File,
    /// The kernel's name, different for each that is open.
    pub real: PathBuf,
    link: PathBuf,
}

impl Pty {
    /// A new pseudo-terminal that can be opened at `link`.
    pub fn at(link: &Path) -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it can be opened");
        let real = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("which is text");
        symlink(&real, link).expect("a link to it");
        Pty { master: File::from(master), real: real.into(), link: link.to_owned() }
    }

    /// As pulling the plug: the name goes, then the line.
    pub fn unplug(self) {
        assert_eq!(
            std::fs::read_link(&self.link).expect("the link is there"),
            self.real,
            "another device took its place"
        );
        std::fs::remove_file(&self.link).expect("the link was there");
    }
}
