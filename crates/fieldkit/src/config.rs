//! `kit.toml`: what this kit is told by file.
//!
//! Order of precedence: flag, then `FIELDKIT_*`, then this file, then what is built in. Unknown names are refused with
//! the place in the file, the names that exist, and the nearest of them. A change by program keeps everything else in
//! the file as it is, comments included, and the file is there whole or not at all.

use crate::devices::Device;
use anyhow::{Context, Result, bail};
use fieldkit_ports::url::nearest;
use fieldkit_ports::{DeviceUrl, Role};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use toml_edit::{DocumentMut, InlineTable, Item, Value};

/// The file's name in the data directory.
pub const FILE: &str = "kit.toml";
/// The table of devices.
const DEVICES: &str = "devices";
/// Every name at the top of the file.
const NAMES: [&str; 3] = ["listen", "black_box", DEVICES];

/// The settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the till is served, `HOST:PORT`.
    pub listen: Option<String>,
    /// Directory of the second copy, or `off`.
    pub black_box: Option<String>,
    /// Devices by role.
    #[serde(default, deserialize_with = "devices")]
    pub devices: BTreeMap<Role, Device>,
}

/// Reads `text` of `path`.
pub fn parse(text: &str, path: &Path) -> Result<Config> {
    toml::from_str(text).with_context(|| format!("{} is not understood{}", path.display(), meant(text)))
}

/// The configuration in `data`, built-in values where there is none.
pub fn load(data: &Path) -> Result<Config> {
    let path = data.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Gives a device its role in the file of `data`, in the place of the one that had it.
pub fn set_device(data: &Path, device: &Device) -> Result<()> {
    change(data, |text| with_device(text, device))
}

/// Writes the place of the second copy, a directory or `off`, into the configuration in `data`, so that each later start
/// knows it.
pub fn remember_black_box(data: &Path, place: &str) -> Result<()> {
    let Some(place) = unknown_black_box(data, place)? else { return Ok(()) };
    // First, because a key behind a table's head would belong to the table.
    change(data, |text| Ok(format!("black_box = {}\n{text}", Value::from(place))))
}

/// The place by its whole name, because the next start may be somewhere else; `None` where the configuration has it. One
/// that names another place is an error.
pub fn unknown_black_box(data: &Path, place: &str) -> Result<Option<String>> {
    let place = match place {
        "off" => place.to_owned(),
        dir => {
            let path = std::path::absolute(dir).with_context(|| format!("{dir:?} is no directory's name"))?;
            path.to_string_lossy().into_owned()
        }
    };
    match load(data)?.black_box {
        Some(known) if known == place => Ok(None),
        Some(known) => bail!("{} says black_box = {known:?}, the option {place:?}", data.join(FILE).display()),
        None => Ok(Some(place)),
    }
}

/// Changes the text of the file in `data`, if what comes of it is understood.
fn change(data: &Path, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    // A link to the file stays one.
    let path = data.join(FILE);
    let path = path.canonicalize().unwrap_or(path);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let text = change(&text).with_context(|| format!("{} cannot be changed", path.display()))?;
    parse(&text, &path)?;
    write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))
}

/// The file's text with a device in it.
fn with_device(text: &str, device: &Device) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let url = Value::from(device.url.to_string());
    let mut long = InlineTable::new();
    if let Some(label) = &device.label {
        long.insert("label", Value::from(label.as_str()));
    }
    if !device.departures.is_empty() {
        long.insert("profile", device.departures.iter().map(|departure| departure.name()).collect());
    }
    if let Some(password) = device.password {
        long.insert("password", Value::from(format!("{password:06}")));
    }
    let value = if long.is_empty() {
        url
    } else {
        let mut whole = InlineTable::new();
        whole.insert("url", url);
        whole.extend(long);
        Value::InlineTable(whole)
    };
    let role = device.role().name();
    let Some(table) = document.get_mut(DEVICES) else {
        // Behind everything: a comment at the end would otherwise come to stand below the new table.
        let gap = if text.is_empty() { "" } else { "\n" };
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Ok(format!("{text}{end}{gap}[{DEVICES}]\n{role} = {value}\n"));
    };
    let table = table.as_table_like_mut().context("`devices` is no table")?;
    table.insert(role, Item::Value(value));
    Ok(document.to_string())
}

/// Writes a file so that it is there whole or not at all, readable by whom it was before.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("toml.new");
    let mut file = std::fs::File::create(&temporary)?;
    if let Ok(before) = std::fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// What was perhaps meant by the first name at the top that does not exist.
fn meant(text: &str) -> String {
    let table: toml::Table = text.parse().unwrap_or_default();
    let unknown = table.keys().find(|name| !NAMES.contains(&name.as_str()));
    unknown.map_or_else(String::new, |name| format!("; did you mean {}?", nearest(name, NAMES.into_iter())))
}

/// Reads the table of devices: `ROLE = "URL"` or `ROLE = { url = "URL", label = "NAME", profile = ["NAME"], password = "DIGITS" }`.
fn devices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Role, Device>, D::Error> {
    deserializer.deserialize_map(DevicesVisitor)
}

struct DevicesVisitor;

impl<'de> Visitor<'de> for DevicesVisitor {
    type Value = BTreeMap<Role, Device>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of devices by role")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut devices = BTreeMap::new();
        while let Some(RoleName(role)) = map.next_key()? {
            devices.insert(role, map.next_value_seed(DeviceOf(role))?);
        }
        Ok(devices)
    }
}

/// A role's name.
struct RoleName(Role);

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Role::parse(&name).map(RoleName).map_err(D::Error::custom)
    }
}

/// A device of a role that is known already.
struct DeviceOf(Role);

impl<'de> DeserializeSeed<'de> for DeviceOf {
    type Value = Device;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Device, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The long form of a device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongForm {
    url: String,
    label: Option<String>,
    #[serde(default)]
    profile: Vec<String>,
    password: Option<String>,
}

impl<'de> Visitor<'de> for DeviceOf {
    type Value = Device;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a device URL, or a table with `url` and `label`")
    }

    fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<Device, E> {
        let url = DeviceUrl::parse_for(self.0, url).map_err(E::custom)?;
        Device::new(url, None).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Device, A::Error> {
        let LongForm { url, label, profile, password } = LongForm::deserialize(MapAccessDeserializer::new(map))?;
        let url = DeviceUrl::parse_for(self.0, &url).map_err(A::Error::custom)?;
        let device = Device::new(url, label).and_then(|device| device.with(&profile, password.as_deref()));
        device.map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests;
