//! The port to pictures of items: fetched when a catalogue is imported, served from the kit ever after.
//!
//! Promises: a picture that cannot be had is a warning, never a rejection.
//! Absent on purpose: the network and the files, which are the binary's.

use fieldkit_core::id::Hash;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;

/// Whoever keeps pictures.
pub trait Pictures: Send + Sync {
    /// Brings pictures onto the kit: for each address its hash, or why not, in words.
    fn fetch(&self, urls: Vec<String>) -> BoxFuture<'_, BTreeMap<String, Result<Hash, String>>>;
    /// A picture kept here: its bytes and its media type.
    fn open(&self, hash: Hash) -> BoxFuture<'_, Option<(Vec<u8>, &'static str)>>;
}

/// A kit that keeps no pictures.
pub struct NoPictures;

impl Pictures for NoPictures {
    fn fetch(&self, urls: Vec<String>) -> BoxFuture<'_, BTreeMap<String, Result<Hash, String>>> {
        let refused = |url| (url, Err("this kit keeps no pictures".to_owned()));
        Box::pin(std::future::ready(urls.into_iter().map(refused).collect()))
    }
    fn open(&self, _: Hash) -> BoxFuture<'_, Option<(Vec<u8>, &'static str)>> {
        Box::pin(std::future::ready(None))
    }
}
