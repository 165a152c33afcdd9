//! The file of tokens. It holds SHA-256 hashes only: who reads it cannot call.

use std::{fs, path::Path};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::roles::{Role, Roles};

/// The file cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("auth.tokens: {0}")]
pub struct TokensError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    roles: Vec<Role>,
    #[serde(default, rename = "created")]
    _created: Option<String>,
}

/// Whom a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name in the file.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
}

/// The tokens of one reading of the file.
#[derive(Debug, Default)]
pub struct TokenBook {
    holders: Vec<([u8; 32], Holder)>,
}

impl TokenBook {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not what it should be.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let failed = |problem: String| TokensError(format!("{}: {problem}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        // The error's own text would quote the file.
        Self::parse(&text).map_err(failed)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong with it, without quoting hashes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut book = Self::default();
        for entry in file.token {
            let name = entry.name;
            let hash = decode(&entry.sha256).ok_or_else(|| {
                format!("token {name:?}: sha256 is not 64 hexadecimal digits; add it again")
            })?;
            if name.is_empty() || book.holders.iter().any(|(_, holder)| holder.name == name) {
                return Err(format!(
                    "token {name:?}: names must be given once; rename it"
                ));
            }
            let roles = entry.roles.into_iter().collect();
            book.holders.push((hash, Holder { name, roles }));
        }
        Ok(book)
    }

    /// Whom `token` belongs to. Takes the same time wherever it stands, and if it is none.
    #[must_use]
    pub fn find(&self, token: &[u8]) -> Option<&Holder> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let mut found = u32::MAX;
        for (index, (hash, _)) in (0u32..).zip(&self.holders) {
            let same: Choice = hash.ct_eq(&presented);
            found.conditional_assign(&index, same);
        }
        self.holders.get(found as usize).map(|(_, holder)| holder)
    }
}

/// What a client is called that shows a certificate and no token.
pub(super) fn certificate_name(der: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(der).into();
    let short = digest.iter().take(8);
    short.fold("certificate ".to_owned(), |name, byte| {
        name + &format!("{byte:02x}")
    })
}

fn decode(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = hexadecimal.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, token: &str, roles: &str) -> String {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let hash = digest
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        format!("[[token]]\nname = {name:?}\nsha256 = {hash:?}\nroles = {roles}\n")
    }

    #[test]
    fn a_token_is_found_by_its_hash_and_by_nothing_else() {
        let text = entry("first", "one", "[\"score\"]")
            + &entry("second", "two", "[\"admin\", \"publish\"]");
        let book = TokenBook::parse(&text).unwrap();
        assert_eq!(book.find(b"one").unwrap().name, "first");
        let second = book.find(b"two").unwrap();
        assert!(second.roles.contain(Role::Admin) && !second.roles.contain(Role::Score));
        for wrong in [&b""[..], b"on", b"one ", b"three"] {
            assert_eq!(book.find(wrong), None);
        }
        assert_eq!(TokenBook::default().find(b"one"), None);
    }

    #[test]
    fn a_broken_file_is_refused_without_quoting_it() {
        let double = entry("same", "one", "[]") + &entry("same", "two", "[]");
        for (text, expected) in [
            (double.as_str(), "given once"),
            (
                "[[token]]\nname = \"a\"\nsha256 = \"5ec2e7\"\nroles = []\n",
                "64 hexadecimal",
            ),
            (
                "[[token]]\nname = \"a\"\nsecret = \"5ec2e7\"\n",
                "unknown field",
            ),
            (&entry("a", "one", "[\"root\"]"), "unknown variant"),
            ("token = 5ec2e7\n", ""),
        ] {
            let problem = TokenBook::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
            assert!(!problem.contains("5ec2e7"), "{problem}");
        }
    }
}
