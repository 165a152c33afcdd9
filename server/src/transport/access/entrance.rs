//! The door as one connection sees it. A token is looked up once; the same header on the same connection is known.

use std::{cell::RefCell, sync::Arc};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::{
    Access,
    client::{Client, Permit},
    roles::{Need, Role, Roles, need},
    tokens::TokenBook,
};
use crate::error::ServeError;

const SCHEME: &[u8] = b"bearer ";

/// The door of one connection.
pub struct Entrance {
    access: Arc<Access>,
    /// Who calls without a token, when that is allowed and limited.
    anonymous: Option<Arc<Client>>,
    known: RefCell<Option<Known>>,
}

/// The last caller that was let in.
struct Known {
    /// The reading of the file that knew it.
    book: Arc<TokenBook>,
    header: HeaderValue,
    name: String,
    roles: Roles,
    client: Option<Arc<Client>>,
}

impl Entrance {
    pub(super) const fn new(access: Arc<Access>, anonymous: Option<Arc<Client>>) -> Self {
        Self {
            access,
            anonymous,
            known: RefCell::new(None),
        }
    }

    /// Whether nothing is asked or limited.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.access.book.is_none() && self.anonymous.is_none()
    }

    /// Lets one request in, or says why not.
    ///
    /// # Errors
    /// The token is missing, unknown or without the role that `path` needs, or the client asks for too much.
    pub fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<Permit>, ServeError> {
        if self.access.book.is_none() {
            return self.admit_anonymous();
        }
        match need(path, self.access.open_health, self.access.open_reflection) {
            Need::Nothing => self.admit_anonymous(),
            Need::Token => self.admit_holder(the_one(headers)?, None),
            Need::Role(role) => self.admit_holder(the_one(headers)?, Some(role)),
        }
    }

    /// Lets a caller in that needs `role`, by its authorization header.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn admit_role(
        &self,
        header: Option<&HeaderValue>,
        role: Role,
    ) -> Result<Option<Permit>, ServeError> {
        if self.access.book.is_none() {
            return self.admit_anonymous();
        }
        self.admit_holder(header, Some(role))
    }

    fn admit_anonymous(&self) -> Result<Option<Permit>, ServeError> {
        self.anonymous.as_ref().map_or(Ok(None), Client::admit)
    }

    fn admit_holder(
        &self,
        header: Option<&HeaderValue>,
        role: Option<Role>,
    ) -> Result<Option<Permit>, ServeError> {
        let Some(book) = &self.access.book else {
            return Ok(None);
        };
        let book = book.load();
        let mut known = self.known.borrow_mut();
        let header = header.ok_or(ServeError::Unauthenticated {
            problem: "it is missing",
        })?;
        // The comparison may tell how much of the header was right only to a caller on this very connection, who
        // sent it.
        let same = known
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(&known.book, &book) && known.header == *header);
        if !same {
            *known = Some(self.look_up(&book, header)?);
        }
        let Some(known) = known.as_ref() else {
            return Ok(None);
        };
        if let Some(role) = role.filter(|role| !known.roles.contain(*role)) {
            return Err(ServeError::RoleMissing {
                client: known.name.clone(),
                role: role.name(),
            });
        }
        known.client.as_ref().map_or(Ok(None), Client::admit)
    }

    fn look_up(&self, book: &Arc<TokenBook>, header: &HeaderValue) -> Result<Known, ServeError> {
        let token = bearer(header).ok_or(ServeError::Unauthenticated {
            problem: "it is no bearer token",
        })?;
        let holder = book.find(token).ok_or(ServeError::Unauthenticated {
            problem: "the token is unknown or was revoked",
        })?;
        let limited = self.access.allowance.is_limited();
        Ok(Known {
            book: Arc::clone(book),
            header: header.clone(),
            client: limited.then(|| self.access.client(&format!("token {}", holder.name))),
            name: holder.name.clone(),
            roles: holder.roles,
        })
    }
}

fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

/// The authorization header. Of two nobody could say which one a proxy before this server looked at.
fn the_one(headers: &HeaderMap) -> Result<Option<&HeaderValue>, ServeError> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    match (sent.next(), sent.next()) {
        (first, None) => Ok(first),
        _ => Err(ServeError::Unauthenticated {
            problem: "it comes twice",
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::settings::Settings;

    fn entrance(tokens: &[(&str, &str)]) -> Entrance {
        let entries = tokens.iter().map(|(token, role)| {
            let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            let hash = digest
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            format!("[[token]]\nname = {role:?}\nsha256 = {hash:?}\nroles = [{role:?}]\n")
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        std::fs::write(&file, entries.collect::<String>()).unwrap();
        let settings = Settings {
            tokens: Some(file),
            ..Settings::default()
        };
        let access = Arc::new(Access::new(&settings).unwrap());
        access.enter(Ipv4Addr::LOCALHOST.into(), None)
    }

    fn bearing(token: &str) -> HeaderMap {
        let header = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, header)])
    }

    const SCORE: &str = "/candlewire.v1.ScoringService/Score";
    const PUBLISH: &str = "/candlewire.v1.BarService/Publish";

    #[test]
    fn a_known_header_does_not_vouch_for_another() {
        let entrance = entrance(&[("one", "score"), ("two", "publish")]);
        for _ in 0..2 {
            assert!(entrance.admit(SCORE, &bearing("one")).is_ok());
            assert!(matches!(
                entrance.admit(PUBLISH, &bearing("one")),
                Err(ServeError::RoleMissing {
                    role: "publish",
                    ..
                })
            ));
            assert!(entrance.admit(PUBLISH, &bearing("two")).is_ok());
            for wrong in ["onf", "on", "one2", ""] {
                assert!(matches!(
                    entrance.admit(SCORE, &bearing(wrong)),
                    Err(ServeError::Unauthenticated { .. })
                ));
            }
            assert!(entrance.admit(SCORE, &HeaderMap::new()).is_err());
        }
    }

    #[test]
    fn a_token_is_looked_up_once_on_a_connection() {
        let entrance = entrance(&[("one", "score"), ("two", "publish")]);
        let admitted = |path, token| {
            let headers = bearing(token);
            assert!(entrance.admit(path, &headers).is_ok());
            // Whose bytes are known: of another request they would be others.
            let known = entrance.known.borrow();
            let header = known.as_ref().map(|known| known.header.as_bytes().as_ptr());
            (header, headers)
        };
        let (first, _kept) = admitted(SCORE, "one");
        let (again, _kept_too) = admitted(SCORE, "one");
        assert!(first.is_some());
        assert_eq!(again, first);
        let (other, _kept_last) = admitted(PUBLISH, "two");
        assert_ne!(other, first);
    }
}
