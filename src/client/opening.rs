//! From the accepted socket to the first command: INFO, the PROXY protocol header and the TLS
//! handshake, in the order that the configuration asks for (spec 01 §10 and §11).
//!
//! Each [`Stage`] ends with bytes of the peer, or with its deadline. A connection in a stage takes
//! no commands; what it sends beyond the stage is left unused for the next one.
//!
//! Where this differs from the reference: it waits for six bytes before it tells a plain client from
//! one that speaks TLS, although the first one decides; a plain client that sends fewer is delayed
//! by the whole TLS timeout. Here the first byte decides at once.

use super::{Client, TIMER_OPENING};
use crate::closed::ClosedState;
use crate::server::Settings;
use crate::tls::failure::Failure;
use crate::tls::{ServerTls, TlsState};
use eventloop::rustls::CommonState;
use eventloop::{Cause, Io};
use parser::proxy;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time for a PROXY protocol header to begin, and again for it to end.
const PROXY_TIMEOUT_MS: u64 = 5_000;
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection waits for.
enum Stage {
    /// A byte of a TLS handshake; INFO is sent if none comes.
    FirstByte,
    /// The PROXY protocol header.
    Proxy {
        decoder: proxy::Decoder,
        /// Bytes have come: the second deadline runs.
        begun: bool,
    },
    /// A byte that tells whether the client speaks TLS.
    Sniff,
    /// The end of the TLS handshake.
    Handshake,
}

/// A connection on its way to the first command.
pub(super) struct Opening {
    stage: Stage,
    /// Tick at which the stage ends.
    deadline: u64,
    /// TLS as configured when the connection was accepted.
    tls: Option<Arc<ServerTls>>,
    /// A PROXY protocol header is still to come.
    proxied: bool,
    /// The TLS handshake comes before INFO.
    tls_first: bool,
}

fn ticks(time: Duration) -> u64 {
    // At least one: a stage without time would never see its bytes.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4).max(1)
}

impl Client {
    /// Begins: sends INFO unless TLS comes first, and enters the first stage. With `room` unset
    /// there are as many connections as there may be, and this one is refused in the clear.
    pub(super) fn open(&mut self, settings: &Settings, room: bool, io: &mut Io<'_>) {
        let tls = self.shared.server.tls();
        let tls_first = tls.as_ref().is_some_and(|tls| tls.handshake_first);
        let fallback = tls.as_ref().map_or(Duration::ZERO, |tls| tls.fallback);
        if !tls_first {
            self.send_first_info(io, false, settings.proxy_protocol);
        }
        if !room {
            return self.refuse_over_limit(io);
        }
        let opening = Opening {
            stage: Stage::FirstByte,
            deadline: io.now,
            tls,
            proxied: settings.proxy_protocol,
            tls_first,
        };
        self.opening = Some(Box::new(opening));
        if tls_first && !fallback.is_zero() {
            self.enter(io, Stage::FirstByte, ticks(fallback));
        } else {
            self.next_stage(settings, io);
        }
    }

    /// INFO as it is before CONNECT. Behind a proxy the client's address is not known before the
    /// header.
    fn send_first_info(&self, io: &mut Io<'_>, tls_first: bool, without_address: bool) {
        let announced = self.shared.server.authenticator().announced();
        self.shared.server.write_info(io.reply(), &self.shared, &mut |info| {
            info.auth_required = announced;
            info.nonce.push_str(&self.nonce);
            info.tls_required |= tls_first;
            if without_address {
                info.client_ip.clear();
            }
        });
    }

    fn enter(&mut self, io: &mut Io<'_>, stage: Stage, after_ms: u64) {
        if let Some(opening) = &mut self.opening {
            opening.stage = stage;
            opening.deadline = io.now.saturating_add(after_ms);
            io.arm(TIMER_OPENING, after_ms);
        }
    }

    /// Goes on to what comes after the first byte or the PROXY protocol header.
    fn next_stage(&mut self, settings: &Settings, io: &mut Io<'_>) {
        let Some(opening) = &mut self.opening else { return };
        if std::mem::take(&mut opening.proxied) {
            let decoder = proxy::Decoder::new();
            let stage = Stage::Proxy { decoder, begun: false };
            return self.enter(io, stage, PROXY_TIMEOUT_MS);
        }
        match &opening.tls {
            None => self.opened(settings, io),
            Some(_) if settings.allow_non_tls && !opening.tls_first => {
                self.enter(io, Stage::Sniff, settings.tls_timeout_ms);
            }
            Some(tls) => {
                let tls = tls.clone();
                self.start_tls(&tls, settings, io);
            }
        }
    }

    fn start_tls(&mut self, tls: &ServerTls, settings: &Settings, io: &mut Io<'_>) {
        let server = self.shared.server.clone();
        if server.tls_rate().is_some_and(|limit| !limit.admits(Instant::now())) {
            self.send_error(io, "Connection throttling is active. Please try again later.");
            return self.close(io, ClosedState::MaxConnectionsExceeded);
        }
        self.shared.debug(format_args!("Starting TLS client connection handshake"));
        match tls.session() {
            Ok(session) => io.start_tls(session),
            Err(e) => {
                self.shared.error(format_args!("TLS handshake error: {e}"));
                return self.close(io, ClosedState::TlsHandshakeError);
            }
        }
        self.enter(io, Stage::Handshake, settings.tls_timeout_ms);
    }

    /// The connection takes commands from now on.
    fn opened(&mut self, settings: &Settings, io: &mut Io<'_>) {
        self.opening = None;
        self.start_timers(settings, io);
    }

    /// Takes what the stages need from the front of `bytes`. `false` while the connection is not
    /// past them.
    pub(super) fn opening_input(&mut self, io: &mut Io<'_>, bytes: &[u8], pos: &mut usize) -> bool {
        let settings = self.shared.server.settings();
        while let Some(opening) = &mut self.opening {
            if io.is_closing() || io.is_starting_tls() {
                return false;
            }
            let opening = &mut **opening;
            let next = bytes.get(*pos);
            match (&mut opening.stage, next) {
                (Stage::FirstByte | Stage::Sniff, None) => return false,
                (Stage::FirstByte, Some(_)) => self.next_stage(&settings, io),
                (Stage::Sniff, Some(&byte)) => match opening.tls.clone() {
                    Some(tls) if byte == TLS_HANDSHAKE => self.start_tls(&tls, &settings, io),
                    _ => self.opened(&settings, io),
                },
                (Stage::Proxy { decoder, begun }, _) => match decoder.decode(bytes, pos) {
                    Ok(proxy::Outcome::NeedMore) => {
                        if !*begun && bytes.len() >= proxy::DETECT_LEN {
                            *begun = true;
                            opening.deadline = io.now + PROXY_TIMEOUT_MS;
                        }
                        return false;
                    }
                    Ok(outcome) => {
                        if let proxy::Outcome::Done(Some(addresses)) = outcome {
                            self.shared.set_proxied(addresses.source);
                        }
                        self.next_stage(&settings, io);
                    }
                    Err(e) => self.proxy_failed(io, &e.to_string()),
                },
                // Only the session's plaintext comes here, and not before the handshake's end.
                (Stage::Handshake, _) => return false,
            }
        }
        !io.is_closing()
    }

    /// The stage's timer came due.
    pub(super) fn opening_timer(&mut self, settings: &Settings, io: &mut Io<'_>) {
        let timeout = self.read_timeout();
        let Some(opening) = &mut self.opening else { return };
        if io.now < opening.deadline {
            return io.arm(TIMER_OPENING, opening.deadline - io.now);
        }
        match &opening.stage {
            Stage::FirstByte => {
                opening.tls_first = false;
                self.send_first_info(io, false, settings.proxy_protocol);
                self.next_stage(settings, io);
            }
            Stage::Sniff => self.opened(settings, io),
            Stage::Proxy { decoder, .. } => {
                let error = decoder.read_error(&timeout);
                self.proxy_failed(io, &error);
            }
            Stage::Handshake => {
                self.shared.debug(format_args!("TLS handshake timeout"));
                self.shared.debug(format_args!("TLS handshake error: {timeout}"));
                self.close(io, ClosedState::TlsHandshakeError);
            }
        }
    }

    /// A read that took too long, as the system would put it.
    fn read_timeout(&self) -> String {
        let peer = self.shared.socket_peer;
        let local = self.shared.server.address().map(|a| a.to_string()).unwrap_or_default();
        format!("read tcp {local}->{peer}: {}", Failure::timeout().text)
    }

    fn proxy_failed(&mut self, io: &mut Io<'_>, error: &str) {
        self.warn_proxy(error);
        self.close(io, ClosedState::ProtocolViolation);
    }

    fn warn_proxy(&self, error: &str) {
        // Without a label: it has not been told yet whose connection this is.
        self.shared.server.log.warnf(format_args!(
            "Error reading PROXY protocol header from {}: {error}",
            self.shared.socket_peer
        ));
    }

    /// The TLS handshake has ended well.
    pub fn secured(&mut self, io: &mut Io<'_>, session: &CommonState) {
        let Some(opening) = &self.opening else { return };
        let Some(tls) = opening.tls.clone() else { return };
        let first = opening.tls_first;
        let state = TlsState::of(session, first);
        let pinned = state.check_pins(&tls.pinned);
        let agreed = format!("TLS version {}, cipher suite {}", state.version, state.cipher_suite);
        self.shared.set_tls(state);
        if let Err(line) = pinned {
            self.shared.debug(format_args!("{line}"));
            let failure = Failure::not_pinned();
            self.shared.error(format_args!("TLS handshake error: {}", failure.text));
            return self.close(io, ClosedState::TlsHandshakeError);
        }
        if first {
            self.send_first_info(io, true, false);
        }
        self.shared.debug(format_args!("TLS handshake complete"));
        self.shared.debug(format_args!("{agreed}"));
        let settings = self.shared.server.settings();
        self.opened(&settings, io);
    }

    /// The connection went down in the middle of a stage: says why, and what it is called.
    pub(super) fn opening_closed(&mut self, cause: &Cause) {
        let Some(opening) = &self.opening else { return };
        match (&opening.stage, cause) {
            (Stage::Proxy { decoder, .. }, Cause::Eof) => {
                self.warn_proxy(&decoder.eof_error());
                self.reason.get_or_insert(ClosedState::ProtocolViolation);
            }
            (Stage::Handshake, cause) => {
                let failure = match cause {
                    Cause::Tls { error, greeted } => Failure::session(error, *greeted),
                    Cause::Eof => Failure::end(),
                    Cause::Read(e) => Failure::socket(e),
                    Cause::Write(error) => Failure::socket(error),
                    _ => return,
                };
                if failure.probe {
                    self.shared.debug(format_args!("TLS handshake error: {}", failure.text));
                } else {
                    self.shared.error(format_args!("TLS handshake error: {}", failure.text));
                }
                self.reason.get_or_insert(ClosedState::TlsHandshakeError);
            }
            _ => {}
        }
    }
}
