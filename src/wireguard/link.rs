//! What the TCP stack takes for its network card: a queue in, a queue out.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Packets that wait for being sent; the stack waits while there are as many.
const MOST_UNSENT: usize = 256;

/// The two queues.
pub(super) struct Link {
    /// Packets for the stack.
    pub(super) received: VecDeque<Vec<u8>>,
    /// Packets of the stack.
    pub(super) unsent: VecDeque<Vec<u8>>,
    mtu: usize,
}

impl Link {
    pub(super) fn new(mtu: usize) -> Self {
        Self { received: VecDeque::new(), unsent: VecDeque::new(), mtu }
    }
}

impl Device for Link {
    type RxToken<'a> = Packet;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Packet, Room<'_>)> {
        if self.unsent.len() >= MOST_UNSENT {
            return None;
        }
        self.received.pop_front().map(|packet| (Packet(packet), Room(&mut self.unsent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.unsent.len() < MOST_UNSENT).then_some(Room(&mut self.unsent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// A packet that was received.
pub(super) struct Packet(Vec<u8>);

impl RxToken for Packet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Room for a packet to be sent.
pub(super) struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
