//! What the commands do: turn options into requests, answers into lines.

mod cash;
mod catalog;
mod device;
mod event;
mod join;
mod look;
mod payments;
mod rights;
mod sale;
mod setup;
mod sync;
mod waiting;

pub use setup::found as setup_found;

use crate::cli::{Cli, Command, Common, Join, Repeat};
use crate::client::{Client, Reply};
use crate::say::{self, Exit};
use crate::{demo, kit, serve, simulate};
use anyhow::{Context, Result};
use clap::CommandFactory;
use hyper::Method;
use serde_json::Value;
use std::path::PathBuf;

/// What to do about a card where no daemon runs.
const ONLY_UP: &str = "Only a kit that runs drives devices: start it with `fieldkit up --device terminal=URL`, then say \
                       the same again. Or take cash, or the crew's own reader with `card-external=AMOUNT:REFERENCE`.";

/// Runs one command.
pub async fn run(cli: Cli) -> Result<Exit> {
    let common = cli.common;
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "fieldkit", &mut script);
            say::line(String::from_utf8_lossy(&script).trim_end());
            Ok(Exit::Fine)
        }
        Command::Man { dir } => {
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(Cli::command(), &dir)?;
            say::talk(&format!("man pages are in {}", dir.display()));
            Ok(Exit::Fine)
        }
        Command::Demo(options) => demo::run(&common, &options).await,
        Command::Init(options) => setup::init(&common, &options),
        Command::Up(options) => serve::up(&common, &options).await,
        Command::Verify(options) if options.receipt.is_some() => look::verify_receipt(&common, &options).await,
        Command::Verify(options) => look::verify(&common, &options).await,
        Command::Device(device) => device::run(&common, device).await,
        Command::Keys(options) if options.check_words => look::check_words(&common).await,
        Command::Simulate(simulate) => simulate::run(simulate).await,
        Command::Join(Join::Request { name, out }) => join::request(&common, &name, &out),
        Command::Join(Join::Finish { file }) => join::finish(&common, &file),
        other => {
            let session = Session::open(&common).await?;
            let exit = in_session(&session, other).await;
            session.close();
            exit
        }
    }
}

async fn in_session(session: &Session, command: Command) -> Result<Exit> {
    match command {
        Command::Event(event) => event::run(session, event).await,
        Command::Catalog(catalog) => catalog::run(session, catalog).await,
        Command::Stock(stock) => catalog::stock(session, stock).await,
        Command::Sell(sell) => sale::sell(session, sell).await,
        Command::Orders(orders) => sale::orders(session, orders).await,
        Command::Payments(payments) => payments::run(session, payments).await,
        Command::Refund(refund) => sale::refund(session, refund).await,
        Command::Cash(cash) => cash::run(session, cash).await,
        Command::Join(Join::Admit { file, out, repeat }) => join::admit(session, &file, &out, &repeat).await,
        Command::Sync(sync) => sync::run(session, sync).await,
        Command::Rights(rights) => rights::run(session, rights).await,
        Command::Status(status) => look::status(session, status).await,
        Command::Keys(_) => look::keys(session).await,
        Command::Demo(_)
        | Command::Init(_)
        | Command::Up(_)
        | Command::Device(_)
        | Command::Join(Join::Request { .. } | Join::Finish { .. })
        | Command::Verify(_)
        | Command::Simulate(_)
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(Exit::Usage),
    }
}

/// A kit to talk to, and how to print.
pub struct Session {
    client: Client,
    json: bool,
    opened: Option<kit::Running>,
}

impl Session {
    /// Over the daemon where it runs, in this process where it does not.
    pub async fn open(common: &Common) -> Result<Self> {
        let data = data_dir(common)?;
        if let Some(client) = Client::daemon(&data).await {
            return Ok(Session { client, json: common.json, opened: None });
        }
        let running = match kit::Running::start_when_free(&kit::Settings::new(common, data.clone())).await {
            Ok(running) => running,
            Err(error) if kit::is_locked(&error) => {
                // It may be a daemon that was just starting.
                let client = Client::daemon(&data).await.ok_or(error)?;
                return Ok(Session { client, json: common.json, opened: None });
            }
            Err(error) => return Err(error),
        };
        let router = running.router(fieldkit_http::Policy::Socket);
        Ok(Session { client: Client::Here(Box::new(router)), json: common.json, opened: Some(running) })
    }

    /// Ends a kit that runs in this process.
    pub fn close(self) {
        drop(self.client);
        if let Some(running) = self.opened {
            running.stop();
        }
    }

    /// Reads; a problem is printed and becomes the exit.
    pub async fn get(&self, path: &str) -> Result<std::result::Result<Value, Exit>> {
        let reply = self.client.get(path).await?;
        if reply.status.is_success() { Ok(Ok(reply.body)) } else { Ok(Err(say::problem(&reply.body, self.json))) }
    }

    /// Writes; a problem is printed and becomes the exit.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<std::result::Result<Value, Exit>> {
        let reply = self.client.write(method, path, key, body).await?;
        Ok(self.written(reply, key))
    }

    /// Says what was seen; a problem is printed and becomes the exit.
    pub async fn tell(&self, path: &str, body: &Value) -> Result<std::result::Result<Value, Exit>> {
        let reply = self.client.tell(path, body).await?;
        if reply.status.is_success() { Ok(Ok(reply.body)) } else { Ok(Err(say::problem(&reply.body, self.json))) }
    }

    /// The answer to a write; a problem is printed and becomes the exit.
    fn written(&self, mut reply: Reply, key: &str) -> std::result::Result<Value, Exit> {
        if reply.status.is_success() {
            return Ok(reply.body);
        }
        if self.opened.is_some() && reply.body["code"] == "no_terminal" {
            reply.body["next_step"] = Value::from(ONLY_UP);
        }
        let exit = say::problem(&reply.body, self.json);
        if exit == Exit::Unknown {
            say::repeat(key);
        }
        Err(exit)
    }

    /// The open event's currency.
    pub async fn currency(&self) -> Result<std::result::Result<fieldkit_core::money::Currency, Exit>> {
        let status = match self.get("/api/v1/status").await? {
            Ok(status) => status,
            Err(exit) => return Ok(Err(exit)),
        };
        match fieldkit_core::money::Currency::from_code(&say::text(&status, "currency")) {
            Some(currency) => Ok(Ok(currency)),
            None => {
                say::talk("error: no event is open\nhint: fieldkit event create --name NAME");
                Ok(Err(Exit::Failed))
            }
        }
    }
}

/// Unwraps an answer or ends the command with its exit.
macro_rules! given {
    ($answer:expr) => {
        match $answer {
            Ok(value) => value,
            Err(exit) => return Ok(exit),
        }
    };
}
pub(crate) use given;

/// The data directory.
pub fn data_dir(common: &Common) -> Result<PathBuf> {
    if let Some(data) = &common.data {
        return Ok(data.clone());
    }
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = base.or_else(home).context("neither --data nor HOME says where to keep the data")?;
    Ok(base.join("fieldkit"))
}

/// The key of a write: the caller's, or a fresh one; printed first, so that an unknown outcome can be asked again.
pub fn key(given: &Repeat) -> Result<String> {
    let key = match &given.idempotency_key {
        Some(key) => key.clone(),
        None => format!("cli-{}", data_encoding::HEXLOWER.encode(&crate::identity::random::<8>()?)),
    };
    say::talk(&format!("key: {key}"));
    Ok(key)
}

/// `NAME=VALUE`.
pub fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str)> {
    text.rsplit_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| anyhow::Error::new(Usage(format!("{text:?} is not of the form {form}"))))
}

/// An amount of a currency, in minor units.
pub fn amount(text: &str, currency: fieldkit_core::money::Currency) -> Result<i64> {
    fieldkit_core::money::parse_minor(text, currency).ok_or_else(|| {
        let (code, places) = (currency.code(), currency.exponent());
        anyhow::Error::new(Usage(format!("{text:?} is not an amount in {code} (at most {places} decimals)")))
    })
}

/// A percentage without its sign, in parts per million: `12.5` is 125,000; `None` over 100 % or past four decimals.
pub fn percent_ppm(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once(['.', ',']).unwrap_or((text, ""));
    if decimals.len() > 4 {
        return None;
    }
    format!("{whole}{decimals:0<4}").parse().ok().filter(|ppm| *ppm <= 1_000_000)
}

/// Wrong usage: nothing was sent.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Percent-encodes a path segment.
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}
