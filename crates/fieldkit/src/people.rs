//! Persons as the organisation's ops know them: a salted commitment; the name is sealed in `people.db`.

use crate::identity::random;
use anyhow::Result;
use fieldkit_core::id::{Hash, OpId};
use fieldkit_sqlite::people::{People, Secrets, commitment};
use std::path::Path;

/// The owner, before their op is written.
pub struct Owner {
    name: String,
    secrets: Secrets,
}

impl Owner {
    /// An owner of that name.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Owner { name: name.to_owned(), secrets: Secrets { key: random()?, salt: random()?, nonce: random()? } })
    }

    /// What the op says: a hash over salt and name.
    pub fn commitment(&self) -> Hash {
        commitment(&self.secrets.salt, self.name.as_bytes())
    }

    /// Seals the name under the person's own key.
    pub fn seal(&self, data: &Path, person: OpId) -> Result<()> {
        let mut people = People::open(data)?;
        people.add(&person, self.name.as_bytes(), &self.secrets)?;
        Ok(())
    }
}
