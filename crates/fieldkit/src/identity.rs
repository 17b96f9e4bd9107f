//! The kit's own key, and the words that bring the organisation's back.
//!
//! Promises: the key file is 0600 and written whole or not at all; one key is one incarnation. The organisation's
//! secret is never stored: it exists as 24 words (BIP 39, English) that are shown once.
//! Absent on purpose: keys of other kits.

use anyhow::{Context, Result, bail};
use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::body::ReplicaAdmitted;
use fieldkit_core::id::ReplicaKey;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The kit's key and where it came from.
pub struct Identity {
    /// The secret.
    pub key: SigningKey,
    /// The replica before a noticed roll-back.
    pub follows: Option<ReplicaKey>,
    /// What people call the kit.
    pub label: String,
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

impl Identity {
    /// A fresh key.
    pub fn generate(label: &str, follows: Option<ReplicaKey>) -> Result<Self> {
        Ok(Identity { key: SigningKey::from_bytes(&random()?), follows, label: label.to_owned() })
    }

    /// The public half.
    pub fn replica(&self) -> ReplicaKey {
        ReplicaKey(self.key.verifying_key().to_bytes())
    }

    /// Reads the key of the kit in `data`.
    pub fn load(data: &Path) -> Result<Self> {
        let path = file(data);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("there is no kit in {} (its key file {} cannot be read)", data.display(), path.display())
        })?;
        let mut lines = text.lines();
        let (Some(secret), Some(label)) = (lines.next(), lines.next()) else {
            bail!("the key file {} is cut short; put its copy back", path.display());
        };
        let key = read_key(secret).with_context(|| format!("the key file {} is damaged", path.display()))?;
        let follows = lines.next().map(read_key).transpose()?.map(ReplicaKey);
        Ok(Identity { key: SigningKey::from_bytes(&key), follows, label: label.to_owned() })
    }

    /// Whether `data` holds a kit.
    pub fn exists(data: &Path) -> bool {
        file(data).exists()
    }

    /// Writes the key file. An earlier incarnation's file is kept beside it.
    pub fn save(&self, data: &Path) -> Result<()> {
        let path = file(data);
        let dir = data.join("keys");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        if path.exists() {
            let old = Identity::load(data)?;
            fs::copy(&path, dir.join(format!("before-{}.key", old.replica().label())))?;
        }
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let mut text = format!("{}\n{}\n", hex(&self.key.to_bytes()), self.label);
        if let Some(follows) = &self.follows {
            text.push_str(&format!("{}\n", hex(&follows.0)));
        }
        let fresh = path.with_extension("new");
        let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&fresh, &path)?;
        fs::File::open(&dir)?.sync_all()?;
        Ok(())
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("keys").join("kit.key")
}

fn read_key(hex: &str) -> Result<[u8; 32]> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes())?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("a key has 32 bytes"))
}

/// The organisation's key, as it exists during `init` only.
pub struct Organisation {
    key: SigningKey,
    /// The 24 words.
    pub words: String,
}

impl Organisation {
    /// A fresh key and its words.
    pub fn generate() -> Result<Self> {
        let entropy: [u8; 32] = random()?;
        let words = bip39::Mnemonic::from_entropy(&entropy).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Organisation { key: SigningKey::from_bytes(&entropy), words: words.to_string() })
    }

    /// The key that the words stand for.
    pub fn from_words(words: &str) -> Result<Self> {
        let found = bip39::Mnemonic::parse_normalized(words.trim())
            .map_err(|error| anyhow::anyhow!("these are not the recovery words: {error}"))?;
        let entropy: [u8; 32] = found.to_entropy().try_into().map_err(|_| anyhow::anyhow!("24 words are needed"))?;
        Ok(Organisation { key: SigningKey::from_bytes(&entropy), words: found.to_string() })
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Admits a kit.
    pub fn admit(&self, replica: &ReplicaKey, label: &str) -> [u8; 64] {
        self.key.sign(&ReplicaAdmitted::signed_bytes(replica, label)).to_bytes()
    }
}
