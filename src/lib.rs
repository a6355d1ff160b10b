//! nats-server: configuration, accounts, connection kinds, delivery and monitoring.
