//! Zero-copy parsing and encoding of the wire protocols: bytes in, events out.
