//! The kit's own key, and the words that bring the organisation's back.
//!
//! Promises: the key file is 0600 and written whole or not at all; one key is one incarnation. The organisation's
//! secret is never stored: it exists as 24 words (BIP 39, English) that are shown once.
//! Absent on purpose: keys of other kits.

use anyhow::{Context, Result, bail};
use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::body::ReplicaAdmitted;
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::ReplicaKey;
use fieldkit_engine::Succession;
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
    /// What the key goes on with after a roll-back, until the journal says it.
    pub succession: Option<Succession>,
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

impl Identity {
    /// A fresh key.
    pub fn generate(label: &str) -> Result<Self> {
        let key = SigningKey::from_bytes(&random()?);
        Ok(Identity { key, follows: None, label: label.to_owned(), succession: None })
    }

    /// The same key, with what it goes on with.
    pub fn going_on(self, succession: Succession) -> Self {
        Identity { follows: Some(succession.follows), succession: Some(succession), ..self }
    }

    /// The public half.
    pub fn replica(&self) -> ReplicaKey {
        ReplicaKey(self.key.verifying_key().to_bytes())
    }

    /// Reads the key of the kit in `data`.
    pub fn load(data: &Path) -> Result<Self> {
        Identity::read(&file(data))
    }

    /// Whether `data` holds the key of a kit that is to join.
    pub fn is_joining(data: &Path) -> bool {
        joining(data).exists()
    }

    /// Reads the key of a kit that is to join; `None` where none is.
    pub fn load_joining(data: &Path) -> Result<Option<Self>> {
        let path = joining(data);
        if path.exists() { Identity::read(&path).map(Some) } else { Ok(None) }
    }

    fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("the key file {} cannot be read", path.display()))?;
        let mut lines = text.lines();
        let (Some(secret), Some(label)) = (lines.next(), lines.next()) else {
            bail!("the key file {} is cut short; put its copy back", path.display());
        };
        let damaged = || format!("the key file {} is damaged", path.display());
        let key = SigningKey::from_bytes(&read_key(secret).with_context(damaged)?);
        let follows = lines.next().map(read_key).transpose().with_context(damaged)?.map(ReplicaKey);
        let succession = match (follows, lines.next(), lines.next()) {
            (Some(follows), Some(admitted), Some(noticed)) => Some(Succession {
                follows,
                admitted: read_record(admitted).with_context(damaged)?,
                noticed: read_record(noticed).with_context(damaged)?,
            }),
            (_, Some(_), None) => bail!("the key file {} is cut short; put its copy back", path.display()),
            _ => None,
        };
        Ok(Identity { key, follows, label: label.to_owned(), succession })
    }

    /// Whether `data` holds a kit; a key file that cannot be looked at is one all the same.
    pub fn exists(data: &Path) -> bool {
        file(data).try_exists().unwrap_or_else(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    }

    /// Writes the key file. An earlier incarnation's file is kept beside it.
    pub fn save(&self, data: &Path) -> Result<()> {
        let path = file(data);
        if path.exists() {
            let old = Identity::load(data)?;
            fs::copy(&path, path.with_file_name(format!("before-{}.key", old.replica().label())))?;
        }
        self.write(&path)
    }

    /// Writes the key of a kit that is to join: it is no kit's until an organisation admitted it.
    pub fn save_joining(&self, data: &Path) -> Result<()> {
        self.write(&joining(data))
    }

    /// The key of a kit that joined is its own from now on.
    pub fn joined(&self, data: &Path) -> Result<()> {
        self.save(data)?;
        let path = joining(data);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let dir = path.parent().context("a key file lies in a directory")?;
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let mut text = format!("{}\n{}\n", hex(&self.key.to_bytes()), self.label);
        if let Some(follows) = &self.follows {
            text.push_str(&format!("{}\n", hex(&follows.0)));
        }
        if let Some(Succession { admitted, noticed, .. }) = &self.succession {
            text.push_str(&format!("{}\n{}\n", hex(&admitted.to_bytes()), hex(&noticed.to_bytes())));
        }
        let fresh = path.with_extension("new");
        let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&fresh, path)?;
        fs::File::open(dir)?.sync_all()?;
        Ok(())
    }
}

/// The words alone, in small letters: numbers and marks around them stand on the paper only.
fn plain_words(text: &str) -> String {
    let words = text.split_whitespace().map(|word| word.trim_matches(|letter: char| !letter.is_alphabetic()));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn file(data: &Path) -> PathBuf {
    data.join("keys").join("kit.key")
}

fn joining(data: &Path) -> PathBuf {
    data.join("keys").join("joining.key")
}

fn read_key(hex: &str) -> Result<[u8; 32]> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes())?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("a key has 32 bytes"))
}

/// Reads a record from its canonical bytes.
fn read_record<T: Canonical>(hex: &str) -> Result<T> {
    Ok(T::from_bytes(&data_encoding::HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes())?)?)
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

    /// The key that the words stand for, as people write them down: with capitals, numbers and commas.
    pub fn from_words(words: &str) -> Result<Self> {
        let found = bip39::Mnemonic::parse_normalized(&plain_words(words))
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

#[cfg(test)]
mod tests {
    use super::*;
    use fieldkit_core::body::RollbackNoticed;
    use fieldkit_core::id::StreamId;

    #[test]
    fn a_key_file_keeps_what_the_key_goes_on_with() {
        let home = tempfile::tempdir().expect("a directory");
        let read = || Identity::load(home.path()).expect("it is read");
        let old = Identity::generate("stall").expect("random bytes");
        old.save(home.path()).expect("it is written");
        assert_eq!((read().follows, read().succession), (None, None));
        let new = Identity::generate("stall").expect("random bytes");
        let (replica, label) = (new.replica(), "stall".to_owned());
        let admitted = ReplicaAdmitted { replica, label, admitted_by: old.replica().0, proof: [7; 64] };
        let noticed = RollbackNoticed { witness: "page".to_owned(), stream: StreamId([3; 16]), seen: 9, found: 7 };
        let succession = Succession { follows: old.replica(), admitted, noticed };
        new.going_on(succession.clone()).save(home.path()).expect("it is written");
        let found = read();
        assert_eq!((found.replica(), found.label.as_str()), (replica, "stall"));
        assert_eq!((found.follows, found.succession), (Some(old.replica()), Some(succession)));
        let whole = fs::read_to_string(file(home.path())).expect("it is there");
        let lines: Vec<&str> = whole.lines().collect();
        let check_cut = |text: &str| {
            fs::write(file(home.path()), text).expect("it is written");
            assert!(Identity::load(home.path()).is_err(), "what is cut short is not taken for whole: {text}");
        };
        check_cut(&lines[..4].join("\n"));
        check_cut(&whole[..whole.len() - 3]);
    }

    #[test]
    fn recovery_words_are_read_as_people_write_them() {
        let organisation = Organisation::generate().expect("random bytes");
        let check = |text: String| {
            let read = Organisation::from_words(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!((read.public(), &read.words), (organisation.public(), &organisation.words));
        };
        let words: Vec<&str> = organisation.words.split(' ').collect();
        let written = |each: &dyn Fn(usize, &str) -> String| {
            words.iter().zip(1..).map(|(word, number)| each(number, word)).collect::<String>()
        };
        check(organisation.words.to_uppercase());
        check(written(&|number, word| format!("{number}. {word}\n")));
        check(written(&|number, word| format!("{number}){word}, ")));
        // As init prints them: six a row, with the number of the first.
        check(written(&|number, word| {
            if number % 6 == 1 { format!("\n  {number:2}  {word}") } else { format!(" {word}") }
        }));
        assert!(Organisation::from_words("1 2 3").is_err());
    }
}
