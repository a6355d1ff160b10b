//! Where the claims of accounts come from (spec 03 §22.3). Used by the desk only, which may wait for
//! disks and servers; what other servers know is asked for by the desk itself.

pub mod directory;
mod http;

use crate::config::options::Options;
use crate::config::options::operator::AccountResolver;
use directory::Directory;
use http::Fetcher;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where claims come from.
pub enum Resolver {
    /// Only what was configured or pushed.
    Memory(BTreeMap<String, String>),
    /// A server.
    Url(Box<Fetcher>),
    /// All of them, in a directory.
    Full(Directory),
    /// Those in use, in a directory.
    Cache(Directory),
}

/// Why there are no claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// They are not here; other servers may have them.
    NotHere,
    /// The reason.
    Other(String),
}

impl Resolver {
    /// As configured, with what is preloaded. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// The text for the operator.
    pub fn open(o: &Options, now: i64) -> Result<Option<Resolver>, String> {
        let Some(configured) = &o.account_resolver else { return Ok(None) };
        let mut resolver = match configured {
            AccountResolver::Memory => Resolver::Memory(BTreeMap::new()),
            AccountResolver::Url(url) => {
                let fetcher = Fetcher::new(url, o.account_resolver_tls.as_ref())?;
                fetcher.fetch("")?;
                Resolver::Url(Box::new(fetcher))
            }
            AccountResolver::Full(d) => Resolver::Full(Directory::open(d, false, now)?),
            AccountResolver::Cache(d) => Resolver::Cache(Directory::open(d, true, now)?),
        };
        resolver.preload(&o.resolver_preload, now)?;
        Ok(Some(resolver))
    }

    /// Stores what the configuration brings.
    ///
    /// # Errors
    /// Claims that are none, or a resolver that stores nothing.
    pub fn preload(&mut self, tokens: &BTreeMap<String, String>, now: i64) -> Result<(), String> {
        if tokens.is_empty() {
            return Ok(());
        }
        if matches!(self, Resolver::Url(_)) {
            return Err(
                "resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR"
                    .to_owned(),
            );
        }
        for (account, token) in tokens {
            if let Err(e) = crate::jwt::decode_account(token) {
                let account = parser::quote::quote(account.as_bytes());
                return Err(format!("preload account error for {account}: {e}"));
            }
            // A directory keeps what is newer; that is no failure.
            let _ = self.store(account, token, now);
        }
        Ok(())
    }

    /// The claims of an account, as far as this server has them or its resolver's server.
    ///
    /// # Errors
    /// There are none.
    pub fn fetch(&mut self, account: &str, now: i64) -> Result<String, FetchError> {
        match self {
            Resolver::Memory(tokens) => {
                let token = tokens.get(account).cloned();
                token.ok_or_else(|| FetchError::Other("account missing".to_owned()))
            }
            Resolver::Url(fetcher) => fetcher.fetch(account).map_err(FetchError::Other),
            Resolver::Full(directory) | Resolver::Cache(directory) => {
                directory.load(account, now).ok_or(FetchError::NotHere)
            }
        }
    }

    /// Keeps claims that somebody sends on purpose, however old they are. Tells whether they are
    /// others than before.
    ///
    /// # Errors
    /// The text for whoever sent them.
    pub fn update(&mut self, account: &str, token: &str, now: i64) -> Result<bool, String> {
        match self {
            Resolver::Full(directory) | Resolver::Cache(directory) => {
                directory.save(account, token, now)
            }
            Resolver::Memory(_) | Resolver::Url(_) => self.store(account, token, now),
        }
    }

    /// Keeps claims, in a directory only newer ones. Tells whether they are others than before.
    ///
    /// # Errors
    /// The text for whoever sent them.
    pub fn store(&mut self, account: &str, token: &str, now: i64) -> Result<bool, String> {
        match self {
            Resolver::Memory(tokens) => {
                let before = tokens.insert(account.to_owned(), token.to_owned());
                Ok(before.as_deref() != Some(token))
            }
            Resolver::Url(_) => Err("store operation not supported for URL Resolver".to_owned()),
            Resolver::Full(directory) | Resolver::Cache(directory) => {
                directory.save_if_newer(account, token, now)
            }
        }
    }

    /// The directory, if there is one.
    pub fn directory(&mut self) -> Option<&mut Directory> {
        match self {
            Resolver::Full(directory) | Resolver::Cache(directory) => Some(directory),
            Resolver::Memory(_) | Resolver::Url(_) => None,
        }
    }

    /// How long other servers are waited for.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self {
            Resolver::Full(directory) | Resolver::Cache(directory) => directory.fetch_timeout,
            Resolver::Memory(_) | Resolver::Url(_) => http::TIMEOUT,
        }
    }
}
