//! Reactor threads, timers, pooled buffers and egress queues. Knows no NATS verb.
