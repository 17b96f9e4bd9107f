//! Joining: a kit makes its key, a kit of the organisation admits it, and its journal begins with what that one knows.
//!
//! Promises: the request proves that whoever made it has the key; nothing is written before the file is verified and
//! admits this very key; a power cut leaves the request, and finishing again does the rest.
//! Absent on purpose: trust in the file itself. Whoever carries it says which organisation it is, by comparing keys.

use crate::identity::Identity;
use crate::kit::{Settings, with_hint};
use crate::shelf::StoreShelf;
use crate::shop::{batches, not_taken};
use anyhow::{Context, Result, bail};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use fieldkit_core::id::ReplicaKey;
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::SealedOp;
use fieldkit_engine::{Engine, Input, Output};
use fieldkit_http::desk::Failure;
use fieldkit_sqlite::{Batch, SignedHead, Store, StoreError};
use fieldkit_sync::bundle::{Bundle, BundleError, Label};
use fieldkit_sync::intake::admission;
use fieldkit_sync::tip::Scope;
use serde_json::{Value, json};
use std::path::Path;

/// What a request says it is.
const WHAT: &str = "fieldkit join request 1";

/// A kit that wants to join.
pub struct Request {
    /// What people call it.
    pub kit: String,
    /// Its public key.
    pub replica: ReplicaKey,
    proof: [u8; 64],
}

impl Request {
    fn signed_bytes(replica: &ReplicaKey, kit: &str) -> Vec<u8> {
        [b"fieldkit join v1".as_slice(), &replica.0, kit.as_bytes()].concat()
    }

    /// As it is carried.
    pub fn text(&self) -> String {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let document = json!({
            "what": WHAT, "kit": self.kit, "key": hex(&self.replica.0), "proof": hex(&self.proof),
        });
        format!("{document:#}\n")
    }

    /// Reads one that was carried here.
    pub fn read(text: &str) -> Result<Request> {
        let document: Value = serde_json::from_str(text).context("it is not JSON")?;
        let part = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        if part("what") != WHAT {
            bail!("it says that it is {:?}", part("what"));
        }
        let bytes = |name: &str| data_encoding::HEXLOWER_PERMISSIVE.decode(part(name).as_bytes());
        let key = bytes("key").ok().and_then(|key| <[u8; 32]>::try_from(key).ok()).context("its key cannot be read")?;
        let proof = bytes("proof").ok().and_then(|proof| <[u8; 64]>::try_from(proof).ok());
        let request = Request {
            kit: part("kit"),
            replica: ReplicaKey(key),
            proof: proof.context("its signature cannot be read")?,
        };
        let signed = Request::signed_bytes(&request.replica, &request.kit);
        let signature = Signature::from_bytes(&request.proof);
        let genuine = VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify_strict(&signed, &signature).is_ok());
        if genuine { Ok(request) } else { bail!("its signature is not of its key: make it once more") }
    }
}

/// Makes the key of a kit that is to join, or finds it.
pub fn request(data: &Path, kit: &str) -> Result<Request> {
    no_kit_yet(data)?;
    let identity = match Identity::load_joining(data)? {
        // Whoever admits it signs its name too; asked again under another name, the key stays.
        Some(before) => Identity { label: kit.to_owned(), ..before },
        None => Identity::generate(kit)?,
    };
    identity.save_joining(data)?;
    let replica = identity.replica();
    let proof = identity.key.sign(&Request::signed_bytes(&replica, kit)).to_bytes();
    Ok(Request { kit: kit.to_owned(), replica, proof })
}

/// Begins the journal of a kit that was admitted; returns what it is called.
pub fn finish(settings: &Settings, bytes: &[u8]) -> Result<String> {
    let data = &settings.data;
    no_kit_yet(data)?;
    let Some(mut identity) = Identity::load_joining(data)? else {
        bail!("there is no request to join in {}; make one with `fieldkit join request`", data.display());
    };
    let label = Label::read(bytes).map_err(|error| refused(&error))?;
    let (mut store, _) = Store::open(&settings.options()?).map_err(with_hint)?;
    let mut engine = Engine::new(Ledger::default(), identity.key.clone(), None);
    // What an earlier try wrote before it was cut off.
    store
        .replay(0, &mut |_, op: SealedOp| {
            engine.fold(&op, None);
            Ok::<(), StoreError>(())
        })
        .map_err(with_hint)?;
    let replica = identity.replica();
    let shelf = StoreShelf::new(&store, engine.ledger(), label.organisation).map_err(with_hint)?;
    let opened = Bundle::open(bytes, &shelf, &replica, &Scope::Whole);
    if let Some(error) = shelf.fault() {
        return Err(with_hint(error));
    }
    let bundle = opened.map_err(|error| refused(&error))?;
    if !bundle.own_ahead.is_empty() {
        bail!("the file holds sales of this very key: it was used before. Make a new request in an empty directory");
    }
    let admits = |op: &SealedOp| admission(op).filter(|admitted| admitted.replica == replica);
    let admitted = bundle.take.ops.iter().find_map(admits).map(|admitted| admitted.label);
    let admitted = admitted.or_else(|| engine.ledger().replicas.contains_key(&replica).then(|| identity.label.clone()));
    let Some(admitted) = admitted else {
        bail!("the file does not admit this kit (key {}): on the other one, `fieldkit join admit`", replica.label());
    };
    for foreign in batches(bundle.take, &store) {
        engine.handle(Input::Foreign(Box::new(foreign)));
        engine.handle(Input::EndOfBatch);
        write(&mut engine, &mut store)?;
    }
    store.close().map_err(with_hint)?;
    identity.label = admitted;
    identity.joined(data)?;
    Ok(identity.label)
}

fn write(engine: &mut Engine, store: &mut Store) -> Result<()> {
    while let Some(output) = engine.poll_output() {
        if let Output::Append(turn) = output {
            let heads = turn.heads.iter();
            let signed = heads.map(|(stream, head, signature)| SignedHead {
                stream: *stream,
                head: *head,
                signature: *signature,
            });
            let heads: Vec<SignedHead> = signed.collect();
            store.commit(Batch { ops: &turn.ops, heads: &heads, branches: &turn.branches }).map_err(with_hint)?;
            engine.handle(Input::Synced);
        }
    }
    Ok(())
}

fn no_kit_yet(data: &Path) -> Result<()> {
    if Identity::exists(data) {
        bail!("there is a kit in {} already; nothing was changed", data.display());
    }
    Ok(())
}

fn refused(error: &BundleError) -> anyhow::Error {
    match not_taken(error) {
        Failure::Bundle { detail, next_step, .. } => anyhow::anyhow!("{detail}. {next_step}"),
        Failure::Refused(_) | Failure::Unable { .. } => anyhow::anyhow!("{error}"),
    }
}
