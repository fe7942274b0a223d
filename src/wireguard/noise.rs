//! Packets ⇄ datagrams: the protocol of WireGuard with one peer.

use std::net::IpAddr;

use defguard_boringtun::noise::Tunn;
use defguard_boringtun::noise::TunnResult as Outcome;
use defguard_boringtun::noise::errors::WireGuardError;

use crate::wireguard::{Interface, Network, Peer};

/// Room for the largest datagram, and for what the protocol adds to one.
pub(super) const LARGEST: usize = (1 << 16) + 64;

/// First bytes of messages.
const RESPONSE: u8 = 2;
const COOKIE: u8 = 3;

/// Keys, sessions and timers with one peer. It does no I/O.
pub(super) struct Noise {
    protocol: Box<Tunn>,
    allowed: Vec<Network>,
    scratch: Vec<u8>,
}

/// What a datagram means.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// A packet from within the tunnel, from an address that the peer may use.
    pub(super) packet: Option<Vec<u8>>,
    /// Datagrams to be sent to where this one is from.
    pub(super) replies: Vec<Vec<u8>>,
    /// Whether nobody but the peer can have sent it, just now.
    pub(super) authentic: bool,
    /// Whether it answers us and does not fit our keys.
    pub(super) mismatch: bool,
}

impl Noise {
    /// Begins anew with `peer`; nothing is sent by this.
    pub(super) fn new(interface: &Interface, peer: &Peer) -> Self {
        let preshared = peer.preshared_key.as_ref().map(crate::wireguard::PresharedKey::bytes);
        let public = peer.public_key.bytes().into();
        // The protocol keeps the lowest eight bits of a session's number for itself.
        let number = rand::random::<u32>() >> 8;
        let protocol =
            Box::new(Tunn::new(interface.private_key.secret(), public, preshared, peer.keepalive, number, None));
        Self { protocol, allowed: peer.allowed.clone(), scratch: vec![0; LARGEST] }
    }

    /// Whether there is a session with the peer.
    pub(super) fn established(&self) -> bool {
        self.protocol.time_since_last_handshake().is_some()
    }

    /// Returns the datagram that begins a session, even if another one is being begun.
    pub(super) fn greeting(&mut self) -> Option<Vec<u8>> {
        datagram(&self.protocol.format_handshake_initiation(&mut self.scratch, true))
    }

    /// Wraps up a packet. Nothing comes back while there is no session: a few are kept until then.
    pub(super) fn wrap(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        datagram(&self.protocol.encapsulate(packet, &mut self.scratch))
    }

    /// Returns what has to be sent because of the time. To be called several times a second.
    pub(super) fn tick(&mut self) -> Option<Vec<u8>> {
        match self.protocol.update_timers(&mut self.scratch) {
            // The protocol gives up after a while without an answer. Whoever holds a tunnel does not.
            Outcome::Err(WireGuardError::ConnectionExpired) => self.greeting(),
            outcome => datagram(&outcome),
        }
    }

    /// Takes in a datagram from `from`.
    pub(super) fn hear(&mut self, from: IpAddr, message: &[u8]) -> Heard {
        // Without content it would be taken for a question of our own.
        let Some(&kind) = message.first() else { return Heard::default() };
        let mut heard = Heard::default();
        match self.protocol.decapsulate(Some(from), message, &mut self.scratch) {
            Outcome::Done => heard.authentic = kind != COOKIE,
            Outcome::Err(WireGuardError::InvalidAeadTag) => heard.mismatch = kind == RESPONSE,
            Outcome::Err(_) => {}
            Outcome::WriteToNetwork(reply) => {
                // Under load anybody gets a cookie.
                heard.authentic = reply.first() != Some(&COOKIE);
                heard.replies.push(reply.to_vec());
                self.kept(&mut heard.replies);
            }
            Outcome::WriteToTunnelV4(packet, source) => {
                heard.authentic = true;
                heard.packet = permitted(&self.allowed, source.into(), packet);
            }
            Outcome::WriteToTunnelV6(packet, source) => {
                heard.authentic = true;
                heard.packet = permitted(&self.allowed, source.into(), packet);
            }
        }
        heard
    }

    /// Adds what was kept until there is a session.
    fn kept(&mut self, replies: &mut Vec<Vec<u8>>) {
        while let Outcome::WriteToNetwork(kept) = self.protocol.decapsulate(None, &[], &mut self.scratch) {
            replies.push(kept.to_vec());
        }
    }
}

fn datagram(outcome: &Outcome<'_>) -> Option<Vec<u8>> {
    match outcome {
        Outcome::WriteToNetwork(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

fn permitted(allowed: &[Network], source: IpAddr, packet: &[u8]) -> Option<Vec<u8>> {
    allowed.iter().any(|network| network.contains(source)).then(|| packet.to_vec())
}
