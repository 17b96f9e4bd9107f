//! `device`: what is plugged in, what the kit is told to use, whether it is there, and wishes to a kit that drives it.
//!
//! Promises: no device is opened and no byte is sent from here; the journal is not needed.
//! Absent on purpose: accepting a terminal for money, which is the desk's.

use super::{Usage, data_dir, segment};
use crate::cli::{Common, Device as Ask, DeviceAdd};
use crate::client::Client;
use crate::config;
use crate::devices::Device;
use crate::identity::Identity;
use crate::say::{self, Exit};
use anyhow::{Result, bail};
use fieldkit_ports::holder::{Holder, holders};
use fieldkit_ports::scan::{Found, Roots, identity_at, scan};
use fieldkit_ports::url::{serial_schemes, serial_url};
use fieldkit_ports::{Address, Place, Role};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// `device`
pub async fn run(common: &Common, ask: Ask) -> Result<Exit> {
    let data = data_dir(common)?;
    let roots = Roots::default();
    match ask {
        Ask::Scan => {
            let configured = config::load(&data)?.devices;
            show_scan(&scan(&roots)?, &configured, &roots, common.json);
        }
        Ask::Add(options) => {
            let device = wanted(&options, &roots)?;
            add(&data, &device, options.replace)?;
            show_added(&device, common.json);
            if options.from_scan.is_some() && options.protocol.is_none() {
                say_what_was_taken(&device);
            }
        }
        Ask::List => {
            let configured = config::load(&data)?.devices;
            let links = links(&data).await;
            show_list(&configured, &roots, &links, common.json);
        }
        Ask::Ask { device } => return wish(&data, "ask", device.as_deref(), common.json).await,
        Ask::Stop { device } => return wish(&data, "stop", device.as_deref(), common.json).await,
    }
    Ok(Exit::Fine)
}

/// The device that the options mean.
fn wanted(options: &DeviceAdd, roots: &Roots) -> Result<Device> {
    let url = match options.from_scan {
        None if !options.device.contains('=') => {
            let text = format!("{:?} says no URL; give ROLE=URL, or ROLE with --from-scan N", options.device);
            return Err(Usage(text).into());
        }
        None => Device::parse(&options.device)?.url,
        Some(number) => {
            let role = Role::parse(&options.device).map_err(|error| Usage(error.to_string()))?;
            let scheme = scheme(role, options.protocol.as_deref())?;
            let found = scan(roots)?;
            let at = usize::try_from(number).unwrap_or(usize::MAX).checked_sub(1);
            let Some(found) = at.and_then(|at| found.get(at)) else {
                bail!("there is no device {number}; `fieldkit device scan` lists {} of them", found.len());
            };
            if found.console {
                bail!("{} is the system's console, not a device", found.path.display());
            }
            serial_url(scheme, &place(found))?
        }
    };
    let device = Device::new(url, options.label.clone());
    let device = device.and_then(|device| device.with(&options.profiles, options.password.as_deref()));
    device.map_err(|error| Usage(error).into())
}

/// What a device from the scan is taken to speak.
fn scheme(role: Role, protocol: Option<&str>) -> Result<&'static str> {
    let mut schemes = serial_schemes(role);
    let names = || serial_schemes(role).collect::<Vec<_>>().join(", ");
    let found = match protocol {
        None => schemes.next(),
        Some(name) => schemes.find(|scheme| *scheme == name || scheme.strip_suffix("+serial") == Some(name)),
    };
    found.ok_or_else(|| {
        let text = match (names().as_str(), protocol) {
            ("", _) => format!("this build drives no serial device as {}", role.name()),
            (names, protocol) => {
                format!("a {} speaks one of {names}, not {}", role.name(), protocol.unwrap_or_default())
            }
        };
        Usage(text).into()
    })
}

/// How a found device is remembered: by what it is known by, else by its path.
fn place(found: &Found) -> Place {
    match &found.identity {
        Some(identity) => Place::Usb(identity.clone()),
        None => Place::Path(found.path.clone()),
    }
}

fn add(data: &Path, device: &Device, replace: bool) -> Result<()> {
    if !Identity::exists(data) {
        return Err(crate::known::no_kit(data));
    }
    let configured = config::load(data)?.devices;
    if let Some(before) = configured.get(&device.role()).filter(|before| *before != device && !replace) {
        bail!(
            "the {} is {} already; nothing was changed. Say --replace to take its place",
            device.role().name(),
            before.url
        );
    }
    config::set_device(data, device)
}

fn show_added(device: &Device, as_json: bool) {
    let (role, url) = (device.role().name(), device.url.to_string());
    if as_json {
        let identity = device.url.identity().map(ToString::to_string);
        say::json(&json!({"role": role, "url": url, "label": device.label, "identity": identity}));
    } else {
        say::line(&format!("{role}: {url}"));
    }
    say::talk("a kit that runs takes it over at its next start");
}

/// A device that was found does not say what it speaks, and is not asked.
fn say_what_was_taken(device: &Device) {
    let others: Vec<_> = serial_schemes(device.role()).filter(|scheme| *scheme != device.url.scheme()).collect();
    if !others.is_empty() {
        let (taken, others) = (device.url.scheme(), others.join(" or "));
        say::talk(&format!("it is taken to speak {taken}; otherwise say --replace --protocol {others}"));
    }
}

/// Which role a found device has.
fn role_of(found: &Found, configured: &BTreeMap<Role, Device>, roots: &Roots) -> Option<Role> {
    let is_it = |device: &Device| match device.url.address() {
        Address::Serial { place: Place::Usb(identity), .. } => found.is(identity),
        Address::Serial { place: Place::Path(path), .. } => {
            *path == found.path || found.identity.is_some() && identity_at(roots, path) == found.identity
        }
        Address::Tcp { .. } => false,
    };
    configured.values().find(|device| is_it(device)).map(Device::role)
}

fn show_scan(found: &[Found], configured: &BTreeMap<Role, Device>, roots: &Roots, as_json: bool) {
    let entries: Vec<Value> =
        found.iter().zip(1..).map(|(found, number)| entry(number, found, configured, roots)).collect();
    if as_json {
        say::json(&Value::Array(entries));
        return;
    }
    if entries.is_empty() {
        say::talk("no serial device is plugged in; terminals in the network are added by address:");
        say::talk("  fieldkit device add terminal=zvt+tcp://ADDRESS:20007");
        return;
    }
    let join = |value: &Value| {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(" ")
    };
    let row = |entry: &Value| {
        let cell = |name: &str| say::text(entry, name);
        let holders = entry["held_by"].as_array().into_iter().flatten();
        let holders = holders.map(|holder| format!("in use by {}", say::text(holder, "name")));
        let role = Some(cell("role")).filter(|role| !role.is_empty()).map(|role| format!("is the {role}"));
        let console = (entry["console"] == json!(true)).then(|| "the system's console".to_owned());
        let notes: Vec<String> = role.into_iter().chain(console).chain(holders).collect();
        let what = Some(cell("kind")).filter(|kind| !kind.is_empty()).unwrap_or_else(|| cell("product_name"));
        vec![cell("number"), cell("path"), cell("identity"), what, join(&entry["could_be"]), notes.join(", ")]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    say::table(&["N", "PATH", "IDENTITY", "WHAT", "COULD BE", "NOTE"], &[0], &rows);
    say::talk("nothing was sent to any device. Next: fieldkit device add ROLE --from-scan N");
}

fn entry(number: u32, found: &Found, configured: &BTreeMap<Role, Device>, roots: &Roots) -> Value {
    let usb = found.usb.as_ref();
    let four = |number: u16| format!("{number:04x}");
    let held: Vec<Holder> = holders(roots, &found.path);
    let could_be = found.known.map_or(&[][..], |known| known.could_be);
    json!({
        "number": number,
        "path": found.path.display().to_string(),
        "driver": found.driver,
        "vendor": usb.map(|usb| four(usb.vendor)),
        "product": usb.map(|usb| four(usb.product)),
        "serial": usb.and_then(|usb| usb.serial.clone()),
        "product_name": usb.and_then(|usb| usb.product_name.clone()),
        "manufacturer": usb.and_then(|usb| usb.manufacturer.clone()),
        "socket": usb.map(|usb| usb.socket.clone()),
        "interface": usb.map(|usb| usb.interface),
        "identity": found.identity.as_ref().map(ToString::to_string),
        "kind": found.known.map(|known| known.name),
        "could_be": could_be.iter().map(|role| role.name()).collect::<Vec<_>>(),
        "probe": found.known.map(|known| known.probe.name()),
        "console": found.console,
        "role": role_of(found, configured, roots).map(Role::name),
        "held_by": held.iter().map(|holder| json!({"process": holder.process, "name": holder.name})).collect::<Vec<_>>(),
    })
}

/// Devices as the daemon knows them, by role. Empty where no daemon runs.
async fn links(data: &Path) -> BTreeMap<String, Value> {
    let Some(client) = Client::daemon(data).await else { return BTreeMap::new() };
    let Ok(reply) = client.get("/api/v1/devices").await else { return BTreeMap::new() };
    let devices = reply.body.as_array().cloned().unwrap_or_default();
    devices.into_iter().map(|device| (say::text(&device, "role"), device)).collect()
}

/// Hands a wish to the kit that drives the device.
async fn wish(data: &Path, verb: &str, named: Option<&str>, as_json: bool) -> Result<Exit> {
    let Some(client) = Client::daemon(data).await else {
        bail!("no kit runs here, and only a kit that runs drives devices: start it with `fieldkit up`");
    };
    let reply = client.get("/api/v1/devices").await?;
    if !reply.status.is_success() {
        return Ok(say::problem(&reply.body, as_json));
    }
    let device = match pick(reply.body.as_array().map(Vec::as_slice).unwrap_or_default(), named) {
        Ok(device) => device,
        Err(problem) => return Ok(say::problem(&problem, as_json)),
    };
    let path = format!("/api/v1/devices/{}/{verb}", segment(&say::text(device, "device_id")));
    let reply = client.tell(&path, &json!({})).await?;
    if !reply.status.is_success() {
        return Ok(say::problem(&reply.body, as_json));
    }
    if as_json {
        say::json(device);
    } else {
        let told = if verb == "ask" { "is asked for its last transaction" } else { "is told to stop" };
        say::line(&format!("{} {told}", say::text(device, "label")));
        say::talk("hint: `fieldkit status` shows what it says, `fieldkit orders` what became of the payment");
    }
    Ok(Exit::Fine)
}

/// The device of that id or label, whatever its capitals; without a name the only terminal.
fn pick<'a>(devices: &'a [Value], named: Option<&str>) -> std::result::Result<&'a Value, Value> {
    let fits = |device: &&Value| match named.map(str::trim) {
        None => device["role"] == "terminal",
        Some(name) => ["device_id", "label"].iter().any(|part| say::text(device, part).eq_ignore_ascii_case(name)),
    };
    let found: Vec<&Value> = devices.iter().filter(fits).collect();
    if let [device] = found.as_slice() {
        return Ok(device);
    }
    let all =
        devices.iter().map(|device| format!("{:?} ({})", say::text(device, "label"), say::text(device, "device_id")));
    let detail = match (named, found.is_empty()) {
        (None, true) => "this kit drives no terminal".to_owned(),
        (Some(name), true) => format!("this kit drives no device {name:?}"),
        (_, false) => "several devices are meant; give the id of one".to_owned(),
    };
    let next_step = match all.collect::<Vec<_>>() {
        all if all.is_empty() => "Give it one: `fieldkit device add terminal=URL`, and start it anew.".to_owned(),
        all => format!("It drives {}.", all.join(", ")),
    };
    Err(json!({"code": "unknown_device", "detail": detail, "next_step": next_step}))
}

fn show_list(configured: &BTreeMap<Role, Device>, roots: &Roots, links: &BTreeMap<String, Value>, as_json: bool) {
    let found = scan(roots).unwrap_or_default();
    let entry = |device: &Device| {
        let (identity, path) = match device.url.address() {
            Address::Tcp { .. } => (None, None),
            Address::Serial { place: Place::Path(path), .. } => {
                (identity_at(roots, path), Some(path.clone()).filter(|path| path.exists()))
            }
            Address::Serial { place: Place::Usb(identity), .. } => {
                let mut there = found.iter().filter(|found| found.is(identity));
                (Some(identity.clone()), there.next().map(|found| found.path.clone()))
            }
        };
        let present = match device.url.address() {
            Address::Tcp { .. } => None,
            Address::Serial { .. } => Some(path.is_some()),
        };
        let role = device.role().name();
        json!({
            "role": role,
            "label": device.label,
            "url": device.url.to_string(),
            "identity": identity.map(|identity| identity.to_string()),
            "present": present,
            "path": path.map(|path| path.display().to_string()),
            "link": links.get(role).map(|device| &device["link"]),
            "trouble": links.get(role).map(|device| &device["trouble"]),
        })
    };
    let entries: Vec<Value> = configured.values().map(entry).collect();
    if as_json {
        say::json(&Value::Array(entries));
        return;
    }
    if entries.is_empty() {
        say::talk("kit.toml names no device. Next: fieldkit device scan, or fieldkit device add ROLE=URL");
        return;
    }
    let row = |entry: &Value| {
        let cell = |name: &str| say::text(entry, name);
        let present = match entry["present"].as_bool() {
            Some(true) => "there",
            Some(false) => "missing",
            None => "",
        };
        let link = match (cell("link"), cell("trouble")) {
            (link, _) if link.is_empty() => "not known".to_owned(),
            (link, trouble) if trouble.is_empty() => link,
            (link, trouble) => format!("{link}: {trouble}"),
        };
        vec![cell("role"), cell("label"), cell("url"), cell("identity"), present.to_owned(), link]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    say::table(&["ROLE", "LABEL", "URL", "IDENTITY", "DEVICE", "LINK"], &[], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_meant_by_its_id_or_label_or_as_the_only_terminal() {
        let device = |id: &str, role: &str, label: &str| json!({"device_id": id, "role": role, "label": label});
        let one = [device("T1", "terminal", "counter left"), device("P1", "printer", "slips")];
        let two = [&one[..], &[device("T2", "terminal", "Counter Left")]].concat();
        let check = |devices: &[Value], named: Option<&str>| match pick(devices, named) {
            Ok(device) => say::text(device, "device_id"),
            Err(problem) => say::text(&problem, "detail"),
        };
        assert_eq!(check(&one, None), "T1");
        assert_eq!([check(&two, Some("t2")), check(&two, Some("slips"))], ["T2", "P1"]);
        assert_eq!(check(&two, Some("counter left")), "several devices are meant; give the id of one");
        assert_eq!(check(&two, None), "several devices are meant; give the id of one");
        assert_eq!(check(&one, Some("bar")), "this kit drives no device \"bar\"");
        assert_eq!(check(&[], None), "this kit drives no terminal");
        let next = say::text(&pick(&one, Some("bar")).expect_err("there is none"), "next_step");
        assert_eq!(next, "It drives \"counter left\" (T1), \"slips\" (P1).");
    }
}
