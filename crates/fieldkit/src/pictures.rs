//! Pictures of items: fetched once at import, kept by their hash, served from here.
//!
//! Promises: a picture that cannot be had is a warning and a placeholder, never a rejected item; each is at most 5 MiB;
//! all of an import's pictures together take at most 60 s, and the first host that cannot be reached ends the asking.
//! Absent on purpose: scaling.

use anyhow::{Context, Result, bail};
use fieldkit_core::id::Hash;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest picture.
const PICTURE_BYTES_MAX: u64 = 5 << 20;
/// One picture's time.
const PICTURE_MS_MAX: u64 = 10_000;
/// All pictures' time.
const ALL_MS_MAX: u64 = 60_000;

/// The pictures of one kit.
#[derive(Clone)]
pub struct Pictures {
    dir: Arc<PathBuf>,
}

impl Pictures {
    /// Kept in `data`.
    pub fn new(data: &Path) -> Self {
        Pictures { dir: Arc::new(data.join("pictures")) }
    }

    fn fetch_all(&self, urls: Vec<String>) -> BTreeMap<String, Result<Hash, String>> {
        let begun = Instant::now();
        let mut unreachable: BTreeSet<String> = BTreeSet::new();
        let mut found = BTreeMap::new();
        for url in urls {
            let host = url.split('/').nth(2).unwrap_or_default().to_owned();
            let result = if unreachable.contains(&host) && url.starts_with("http") {
                Err(format!("{host} cannot be reached"))
            } else if begun.elapsed() > Duration::from_millis(ALL_MS_MAX) {
                Err("there was no time left for it".to_owned())
            } else {
                self.fetch_one(&url).map_err(|error| {
                    if error.downcast_ref::<ureq::Error>().is_some_and(|error| !answered(error)) {
                        unreachable.insert(host);
                    }
                    format!("{error:#}")
                })
            };
            found.insert(url, result);
        }
        found
    }

    fn fetch_one(&self, url: &str) -> Result<Hash> {
        let bytes = if url.starts_with("https://") || url.starts_with("http://") {
            download(url)?
        } else {
            let path = Path::new(url);
            let size = std::fs::metadata(path).with_context(|| format!("cannot read {url}"))?.len();
            if size > PICTURE_BYTES_MAX {
                bail!("it is larger than 5 MiB");
            }
            std::fs::read(path).with_context(|| format!("cannot read {url}"))?
        };
        if kind(&bytes).is_none() {
            bail!("it is no PNG, JPEG, WebP, AVIF, GIF or SVG");
        }
        let hash = Hash::of(&bytes);
        std::fs::create_dir_all(self.dir.as_path())?;
        let path = self.dir.join(hash.hex());
        if !path.exists() {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, &bytes)?;
            std::fs::rename(&fresh, &path)?;
        }
        Ok(hash)
    }
}

impl fieldkit_http::Pictures for Pictures {
    fn fetch(&self, urls: Vec<String>) -> BoxFuture<'_, BTreeMap<String, Result<Hash, String>>> {
        let own = self.clone();
        Box::pin(async move { tokio::task::spawn_blocking(move || own.fetch_all(urls)).await.unwrap_or_default() })
    }

    fn open(&self, hash: Hash) -> BoxFuture<'_, Option<(Vec<u8>, &'static str)>> {
        let path = self.dir.join(hash.hex());
        Box::pin(async move {
            let bytes = tokio::task::spawn_blocking(move || std::fs::read(path)).await.ok()?.ok()?;
            // A file that was changed on disk is no picture of that name any more.
            let kind = kind(&bytes).filter(|_| Hash::of(&bytes) == hash)?;
            Some((bytes, kind))
        })
    }
}

/// Whether a server answered at all.
fn answered(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::StatusCode(_))
}

fn download(url: &str) -> Result<Vec<u8>> {
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_millis(PICTURE_MS_MAX)))
        .timeout_connect(Some(Duration::from_millis(3_000)))
        .build()
        .new_agent();
    let mut answer = agent.get(url).call()?;
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().take(PICTURE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PICTURE_BYTES_MAX {
        bail!("it is larger than 5 MiB");
    }
    Ok(bytes)
}

/// The MIME type by the first bytes.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(&bytes[..bytes.len().min(512)]).unwrap_or_default().trim_start();
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => Some("image/avif"),
        _ if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) => Some("image/svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n"), Some("image/png"));
        assert_eq!(kind(b"<svg xmlns='x'/>"), Some("image/svg+xml"));
        assert_eq!(kind(b"<html>"), None);
        assert_eq!(kind(b""), None);
    }
}
