//! Measures commits and starts: `measure <directory> <ops>`.

#[path = "../tests/support/pen.rs"]
mod pen;

use fieldkit_sqlite::{BlackBoxPlace, Options, Store};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let home = std::path::PathBuf::from(arguments.next().ok_or("which directory?")?);
    let ops: usize = arguments.next().ok_or("how many ops?")?.parse()?;
    let black_box =
        if std::env::var("BOX").is_ok_and(|word| word == "off") { BlackBoxPlace::Off } else { BlackBoxPlace::InData };
    let options = Options::new(&home, black_box);
    let mut pen = pen::Pen::new(1);
    let (mut store, _) = Store::open(&options)?;
    store.commit(pen.write(1, 16).batch())?;
    for batch in [1, 16] {
        let written: Vec<_> = (0..2000).map(|_| pen.write(batch, 336)).collect();
        println!("op of {} bytes", written[0].ops[0].bytes.len());
        let (mut took, mut upkeep) = (Vec::new(), Vec::new());
        for written in &written {
            let begun = Instant::now();
            store.commit(written.batch())?;
            took.push(begun.elapsed());
            let begun = Instant::now();
            while store.maintain()?.more {
                upkeep.push(begun.elapsed());
            }
            upkeep.push(begun.elapsed());
        }
        print(&format!("commit of {batch}"), took);
        print("upkeep", upkeep);
    }
    let begun = Instant::now();
    let mut left = ops.saturating_sub(store.last_row() as usize);
    while left > 0 {
        let part = left.min(2000);
        store.commit(pen.write(part, 336).batch())?;
        while store.maintain()?.more {}
        left -= part;
    }
    println!("filled to {} ops in {:?}", store.last_row(), begun.elapsed());
    drop(store);
    for _ in 0..2 {
        let begun = Instant::now();
        let (store, report) = Store::open(&options)?;
        println!("start took {:?}: {report:?}", begun.elapsed());
        let begun = Instant::now();
        store.close()?;
        println!("close took {:?}", begun.elapsed());
    }
    let (mut store, _) = Store::open(&options)?;
    let begun = Instant::now();
    store.replay::<fieldkit_sqlite::StoreError>(0, &mut |_, _| Ok(()))?;
    println!("replay took {:?}", begun.elapsed());
    Ok(())
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 1000];
    println!("{what}: p50 {:?} p95 {:?} p99 {:?} max {:?}", at(500), at(950), at(990), at(1000));
}
