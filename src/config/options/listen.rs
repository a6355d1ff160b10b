//! Listening addresses and write timeouts, common to all connection kinds.

use std::fmt;

/// A configured port. Zero means that there is no listener, -1 asks for a random port; other
/// numbers outside 1..65535 are accepted by the configuration and fail when the server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(i64);

impl Port {
    /// No listener.
    pub const UNSET: Port = Port(0);
    /// Let the system choose.
    pub const RANDOM: Port = Port(-1);

    /// From the configured number.
    #[must_use]
    pub const fn new(number: i64) -> Port {
        Port(number)
    }

    /// Whether a listener is configured.
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.0 != 0
    }

    /// Whether the system chooses the port.
    #[must_use]
    pub const fn is_random(self) -> bool {
        self.0 == -1
    }

    /// The configured number.
    #[must_use]
    pub const fn configured(self) -> i64 {
        self.0
    }

    /// The port to bind: 0 for a random one, `None` if the number is no port.
    #[must_use]
    pub fn to_bind(self) -> Option<u16> {
        if self.is_random() { Some(0) } else { u16::try_from(self.0).ok() }
    }
}

impl From<u16> for Port {
    fn from(number: u16) -> Port {
        Port(i64::from(number))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happens when a write deadline passes (`write_timeout`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteTimeout {
    /// Close clients, retry on routes, gateways and leafnodes.
    #[default]
    Default,
    /// Close the connection.
    Close,
    /// Keep the connection and write again.
    Retry,
}

impl fmt::Display for WriteTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteTimeout::Default => "default",
            WriteTimeout::Close => "close",
            WriteTimeout::Retry => "retry",
        })
    }
}
