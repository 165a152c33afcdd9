//! Who may call what: tokens with roles, and how much one client may ask for.

mod client;
mod entrance;
mod roles;
pub mod tokens;

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use self::{
    client::Allowance,
    tokens::{TokenBook, TokensError},
};
pub use self::{
    client::{Client, Permit},
    entrance::Entrance,
    roles::{Role, Roles},
};
use crate::settings::Settings;

/// The door of the data and the admin port.
pub struct Access {
    book: Option<ArcSwap<TokenBook>>,
    path: Option<PathBuf>,
    open_health: bool,
    open_reflection: bool,
    allowance: Allowance,
    /// Clients by name, so that all connections of one share its allowance.
    clients: Mutex<HashMap<String, Weak<Client>>>,
}

impl Access {
    /// Reads the tokens that `settings` names.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn new(settings: &Settings) -> Result<Self, TokensError> {
        let read = settings
            .tokens
            .as_deref()
            .map(TokenBook::read)
            .transpose()?;
        let requests = NonZeroU32::new(settings.requests_per_second);
        Ok(Self {
            book: read.map(ArcSwap::from_pointee),
            path: settings.tokens.clone(),
            open_health: settings.open_health,
            open_reflection: settings.open_reflection,
            allowance: Allowance {
                requests_per_second: requests,
                request_burst: NonZeroU32::new(settings.request_burst).or(requests),
                streams: NonZeroU32::new(settings.max_streams_per_client),
            },
            clients: Mutex::default(),
        })
    }

    /// Lets every caller do everything.
    #[must_use]
    pub fn open() -> Self {
        Self {
            book: None,
            path: None,
            open_health: true,
            open_reflection: true,
            allowance: Allowance::default(),
            clients: Mutex::default(),
        }
    }

    /// Whether callers need tokens.
    #[must_use]
    pub const fn asks_for_tokens(&self) -> bool {
        self.book.is_some()
    }

    /// The file of tokens, if there is one.
    #[must_use]
    pub fn tokens_file(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the file of tokens again. What was read before stays in force when that fails.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn reload(&self) -> Result<(), TokensError> {
        if let (Some(book), Some(path)) = (&self.book, &self.path) {
            book.store(Arc::new(TokenBook::read(path)?));
        }
        Ok(())
    }

    /// The door as one connection from `peer` sees it; `certificate` is what the client showed, in DER.
    #[must_use]
    pub fn enter(self: &Arc<Self>, peer: IpAddr, certificate: Option<&[u8]>) -> Entrance {
        let anonymous = self.allowance.is_limited().then(|| {
            let name = certificate.map_or_else(|| peer.to_string(), tokens::certificate_name);
            self.client(&name)
        });
        Entrance::new(Arc::clone(self), anonymous)
    }

    /// The one client of this name.
    fn client(&self, name: &str) -> Arc<Client> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(name).and_then(Weak::upgrade) {
            return client;
        }
        // Those that left are forgotten when their number could have doubled.
        if clients.len() >= 64 && clients.len().is_power_of_two() {
            clients.retain(|_, client| client.strong_count() > 0);
        }
        let client = Arc::new(Client::new(name, self.allowance));
        clients.insert(name.to_owned(), Arc::downgrade(&client));
        client
    }
}
