//! RAFT and the engines of route, gateway and leafnode links.
