//! Commands about several kits: joining, files between them, limited goods.

use super::Repeat;
use clap::Subcommand;
use fieldkit_core::lease::{TERM_MS_MAX, TERM_MS_MIN};
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
    /// List kits, who may sell how many of which limited item, and what is leased until when
    List,
    /// Give another kit the right to sell some: limited goods for good, ordinary ones for a time
    #[command(
        after_help = "Examples:\n  fieldkit rights grant PIN 4 --to \"kit B\"\n  fieldkit rights grant PIN 4 --to \"kit B\" --out /media/stick/b.fkb\n  fieldkit rights grant MUG 20 --to \"kit B\" --for 2h"
    )]
    Grant {
        /// Its SKU
        sku: String,
        /// How many
        quantity: u32,
        /// The kit: its name, or the beginning of its key
        #[arg(long, value_name = "KIT")]
        to: String,
        /// For how long, 2m to 12h, such as 45m or 2h: ordinary goods, which are this kit's again afterwards
        #[arg(long = "for", value_name = "TERM", value_parser = term_ms)]
        term_ms: Option<u64>,
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

/// A term in minutes or hours, as milliseconds.
fn term_ms(text: &str) -> Result<u64, String> {
    let (number, each_ms) = match (text.strip_suffix('m'), text.strip_suffix('h')) {
        (Some(minutes), _) => (minutes, 60_000),
        (None, Some(hours)) => (hours, 3_600_000),
        (None, None) => return Err("a term is a number of minutes or hours, such as 45m or 2h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| format!("{number:?} is no whole number"))?;
    let term_ms = number.checked_mul(each_ms).filter(|term_ms| (TERM_MS_MIN..=TERM_MS_MAX).contains(term_ms));
    term_ms.ok_or_else(|| fieldkit_core::refusal::Refusal::Term.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_minutes_or_hours_within_bounds() {
        assert_eq!(["2m", "45m", "12h", "720m"].map(term_ms), [120_000, 2_700_000, 43_200_000, 43_200_000].map(Ok));
        for wrong in
            ["1m", "721m", "13h", "2", "2 h", "h", "-2h", "1.5h", "2d", "99999999999999999999h", "9999999999999999h"]
        {
            assert!(term_ms(wrong).is_err(), "{wrong}");
        }
    }
}
