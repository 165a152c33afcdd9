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
            Need::Token => self.admit_holder(headers.get(AUTHORIZATION), None),
            Need::Role(role) => self.admit_holder(headers.get(AUTHORIZATION), Some(role)),
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
