//! Commands about several kits: joining, files between them, limited goods.

use super::Repeat;
use clap::Subcommand;
use std::path::PathBuf;

/// `join`
#[derive(Debug, Subcommand)]
pub enum Join {
    /// Make the key of a kit that is to join, and a request to carry to a kit of the organisation
    #[command(
        after_help = "Example:\n  fieldkit join request --data ~/kit-b --name \"kit B\" --out /media/stick/kit-b.join\nThen on a kit of the organisation:\n  fieldkit join admit /media/stick/kit-b.join --out /media/stick/kit-b.fkb"
    )]
    Request {
        /// What the kit is called
        #[arg(long)]
        name: String,
        /// Write the request here
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Let a kit into the organisation, and write what it needs to begin
    #[command(
        after_help = "Example:\n  fieldkit join admit /media/stick/kit-b.join --out /media/stick/kit-b.fkb\nThen on the kit that joins:\n  fieldkit join finish --data ~/kit-b /media/stick/kit-b.fkb"
    )]
    Admit {
        /// The request
        file: PathBuf,
        /// Write everything that this kit knows here
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Begin with the file of the kit that admitted this one
    #[command(after_help = "Example:\n  fieldkit join finish --data ~/kit-b /media/stick/kit-b.fkb")]
    Finish {
        /// The file
        file: PathBuf,
    },
}

/// `sync`
#[derive(Debug, Subcommand)]
pub enum Sync {
    /// Write what this kit knows into a file for another one
    #[command(
        after_help = "Examples:\n  fieldkit sync export --out /media/stick/all.fkb\n  fieldkit sync export --out /media/stick/b.fkb --for \"kit B\""
    )]
    Export {
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Leave out what this kit is known to have: its name, or the beginning of its key
        #[arg(long = "for", value_name = "KIT")]
        receiver: Option<String>,
    },
    /// Take what another kit wrote; taken again, it changes nothing
    #[command(after_help = "Example:\n  fieldkit sync import /media/stick/all.fkb")]
    Import {
        /// The file
        file: PathBuf,
    },
}

/// `rights`
#[derive(Debug, Subcommand)]
pub enum Rights {
    /// List kits, and who may sell how many of which limited item
    List,
    /// Give another kit the right to sell some
    #[command(
        after_help = "Examples:\n  fieldkit rights grant PIN 4 --to \"kit B\"\n  fieldkit rights grant PIN 4 --to \"kit B\" --out /media/stick/b.fkb"
    )]
    Grant {
        /// Its SKU
        sku: String,
        /// How many
        quantity: u32,
        /// The kit: its name, or the beginning of its key
        #[arg(long, value_name = "KIT")]
        to: String,
        /// Write a file that brings it there
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Ask another kit for some; it hears of it with the next exchange
    #[command(after_help = "Example:\n  fieldkit rights ask PIN 2 --of \"kit B\"")]
    Ask {
        /// Its SKU
        sku: String,
        /// How many
        quantity: u32,
        /// The kit; default: the one that holds most
        #[arg(long, value_name = "KIT")]
        of: Option<String>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Give some back to another kit
    #[command(after_help = "Example:\n  fieldkit rights return PIN 3 --to \"kit A\" --out /media/stick/a.fkb")]
    Return {
        /// Its SKU
        sku: String,
        /// How many
        quantity: u32,
        /// The kit: its name, or the beginning of its key
        #[arg(long, value_name = "KIT")]
        to: String,
        /// Write a file that brings it there
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Take over what a kit holds that will not come back; what it sold unknown to this kit is sold twice
    #[command(after_help = "Example:\n  fieldkit rights declare-lost PIN --kit \"kit B\"")]
    DeclareLost {
        /// Its SKU
        sku: String,
        /// The kit: its name, or the beginning of its key
        #[arg(long, value_name = "KIT")]
        kit: String,
        /// Do not ask again
        #[arg(long)]
        yes: bool,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Open limited goods after a start by the mark of the last slip, or by the owner's word
    #[command(after_help = "Examples:\n  fieldkit rights admit --slip 52-Q4TM\n  fieldkit rights admit --owner")]
    Admit {
        /// The mark of the last slip; it opens goods of which this kit never gave any away
        #[arg(long, value_name = "MARK", required_unless_present = "owner")]
        slip: Option<String>,
        /// Open all that this kit holds: what it sold in a past that it lost is then sold twice
        #[arg(long, conflicts_with = "slip")]
        owner: bool,
        /// Do not ask again
        #[arg(long, requires = "owner")]
        yes: bool,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
}
