//! `demo`: a stall with example goods, in one command.
//!
//! Promises: it needs no network, account or hardware; it keeps its data apart from a real kit's; it copes with a taken
//! port and with the data of an earlier demo. It has a card terminal of its own, simulated. It grows with the product.

use crate::cli::{Common, Demo, SimulateTerminal, SimulatedPlace, TerminalProtocol};
use crate::client::Client;
use crate::commands::setup_found;
use crate::devices::Device;
use crate::kit::{Running, Settings};
use crate::say::{self, Exit};
use crate::serve;
use anyhow::{Context, Result, bail};
use fieldkit_core::body::{Prices, Seller, TaxRate};
use fieldkit_core::decide::NewEvent;
use fieldkit_ports::{DeviceUrl, Role};
use std::path::{Path, PathBuf};

/// The example goods, as a Shopify product file.
const CATALOGUE: &[u8] = include_bytes!("../../../kits/demo/catalogue.csv");
/// Their pictures.
const PICTURES: &[(&str, &[u8])] = &include!("../../../kits/demo/pictures.in");
/// How long the example buyers take with their cards.
const BUYER_MS: u64 = 3_000;
/// Ports tried after the one asked for.
const PORTS_TRIED_MAX: u16 = 20;

/// `demo`
pub async fn run(common: &Common, options: &Demo) -> Result<Exit> {
    if fieldkit_http::PAGE_IS_STUB {
        bail!("this build has no till page; run scripts/web and build again");
    }
    let data = match &common.data {
        Some(data) => data.clone(),
        None => demo_dir()?,
    };
    if options.fresh && data.exists() {
        if !data.join(MARK).exists() {
            bail!("{} is not a demo's directory; it is left alone", data.display());
        }
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    if Client::daemon(&data).await.is_some() {
        bail!("a kit runs on {} already; open its till, or say --data DIR", data.display());
    }
    let listener = free_port(&options.listen).await?;
    let mut settings = Settings::new(common, data.clone());
    if !crate::identity::Identity::exists(&data) {
        make(&settings, &data).await?;
    } else {
        say::talk(&format!("going on with the demo in {}", data.display()));
    }
    let line = data.join("terminal");
    match terminal(&data, &line) {
        Ok(device) => settings.devices.push(device),
        Err(error) => say::talk(&format!("warning: the demo goes without its card terminal: {error:#}")),
    }
    let open = !options.no_open;
    let ended = serve::run(&settings, listener, move |url| {
        say::talk(&format!("The till is open at {url}   (Ctrl-C ends it; data stays in {})", data.display()));
        say::talk("Its card terminal is simulated: cards are approved after three seconds.");
        if open {
            browse(url);
        }
    })
    .await;
    // Its other end goes with this program.
    let _ = std::fs::remove_file(&line);
    ended
}

/// A simulated card terminal on a line in the demo's directory, with a journal there.
fn terminal(data: &Path, line: &Path) -> Result<Device> {
    let line = std::path::absolute(line)?;
    let url = crate::simulate::terminal_beside(SimulateTerminal {
        protocol: TerminalProtocol::Zvt,
        place: SimulatedPlace { pty: Some(line), tcp: None },
        journal: data.join("terminal.ndjson"),
        script: None,
        terminal_id: "52523535".to_owned(),
        currency: "EUR".to_owned(),
        profiles: Vec::new(),
        receipt_start: 1,
        buyer_ms: BUYER_MS,
        counts: false,
        message_ids: false,
        restart_numbers: false,
    })?;
    Device::new(DeviceUrl::parse_for(Role::Terminal, &url)?, Some("example terminal".to_owned()))
        .map_err(anyhow::Error::msg)
}

/// Marks a directory as a demo's, so that `--fresh` removes nothing else.
const MARK: &str = "demo";

async fn make(settings: &Settings, data: &Path) -> Result<()> {
    let event = NewEvent {
        name: "Winter market (demo)".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        day_cutover_minutes: 240,
        currency: "EUR".to_owned(),
        seller: Seller {
            name: "Corner Stall".to_owned(),
            address: "Market Square 1".to_owned(),
            tax_id: String::new(),
        },
        tax_rates: vec![
            TaxRate { id: "standard".to_owned(), name: "VAT 19 %".to_owned(), ppm: 190_000 },
            TaxRate { id: "reduced".to_owned(), name: "VAT 7 %".to_owned(), ppm: 70_000 },
        ],
        prices: Prices::Inclusive,
        training: false,
        clone_from: None,
    };
    setup_found(settings, "Corner Stall", "demo kit", event)?;
    std::fs::write(data.join(MARK), b"made by fieldkit demo\n")?;
    let pictures = data.join("demo-pictures");
    std::fs::create_dir_all(&pictures)?;
    for (name, bytes) in PICTURES {
        std::fs::write(pictures.join(name), bytes)?;
    }
    let running = Running::start(settings)?;
    let client = Client::Here(Box::new(running.router(fieldkit_http::Policy::Socket)));
    let dir = crate::commands::segment(&pictures.display().to_string());
    let path = format!("/api/v1/catalog/import?name=catalogue.csv&pictures={dir}");
    let reply = client.write_csv(&path, "demo-catalogue", CATALOGUE.to_vec()).await;
    drop(client);
    running.stop();
    let reply = reply?;
    if !reply.status.is_success() {
        bail!("the example goods were not taken over: {}", reply.body);
    }
    Ok(())
}

fn demo_dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    Ok(base.or_else(home).context("HOME is not set; say --data DIR")?.join("fieldkit-demo"))
}

async fn free_port(listen: &str) -> Result<tokio::net::TcpListener> {
    let first = serve::bind(listen).await;
    let Err(error) = first else { return first };
    let Some((host, port)) = listen.rsplit_once(':') else { return Err(error) };
    let Ok(port) = port.parse::<u16>() else { return Err(error) };
    for next in 1..=PORTS_TRIED_MAX {
        let Some(next) = port.checked_add(next) else { break };
        if let Ok(listener) = serve::bind(&format!("{host}:{next}")).await {
            say::talk(&format!("port {port} is taken; the till is on {next}"));
            return Ok(listener);
        }
    }
    Err(error)
}

/// Opens the address where a browser can be started; silence where it cannot.
fn browse(url: &str) {
    let graphical = std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    if !graphical {
        return;
    }
    let started = std::process::Command::new("xdg-open")
        .arg(url)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if let Err(error) = started {
        tracing::debug!("no browser could be started: {error}");
    }
}
