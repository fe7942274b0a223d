//! The task of a tunnel: UDP socket ⇄ protocol ⇄ TCP stack, until nobody holds the tunnel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::Notify;

use crate::wireguard::noise::{LARGEST, Noise};
use crate::wireguard::stack::Stack;

/// How often the protocol looks at its clocks.
const TICK: Duration = Duration::from_millis(200);
/// Datagrams that are taken in before the stack has its turn.
const BATCH: usize = 128;
/// Bytes that the kernel keeps for us; it gives less where it is told to.
const KERNEL_BUFFER: usize = 4 << 20;
/// How long one waits after an error of the socket, as while the network is away.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a peer that does not answer is greeted again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a peer is silent until it is greeted again before a connection is made.
const SILENT: Duration = Duration::from_secs(5);
/// How long streams may take to say their last words when nobody holds the tunnel any more.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the task, the tunnel and its streams have in common.
pub(super) struct Shared {
    stack: Mutex<Stack>,
    /// Told when there is work for the task.
    pub(super) work: Notify,
    given_up: AtomicBool,
    refresh: AtomicBool,
}

impl Shared {
    pub(super) fn new(stack: Stack) -> Self {
        Self {
            stack: Mutex::new(stack),
            work: Notify::new(),
            given_up: AtomicBool::new(false),
            refresh: AtomicBool::new(false),
        }
    }

    /// Returns the stack, for a moment.
    pub(super) fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is wanted: a peer that has been silent may have been started again, and have forgotten us.
    pub(super) fn refresh(&self) {
        self.refresh.store(true, Ordering::Release);
    }

    /// Nobody holds the tunnel any more.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.work.notify_one();
    }
}

/// What is moved by the task.
pub(super) struct Driver {
    udp: UdpSocket,
    noise: Noise,
    /// Where the peer was heard from last.
    peer: SocketAddr,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    ticked: Instant,
    heard: Instant,
    /// Why nothing could be sent, the last time.
    unsent: Option<io::Error>,
    mismatch: bool,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Silence {
    /// Something answers, and its keys do not fit ours.
    Mismatch,
    /// Nothing answers, and maybe nothing could be sent.
    Nothing(Option<io::Error>),
}

impl Driver {
    /// Binds a socket that can reach `peer`; nothing is sent.
    pub(super) async fn new(noise: Noise, peer: SocketAddr, port: u16, shared: Arc<Shared>) -> io::Result<Self> {
        let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let udp = UdpSocket::bind((any, port)).await?;
        // Less is slower, no failure.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&udp, KERNEL_BUFFER);
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&udp, KERNEL_BUFFER);
        let (buffer, ticked) = (vec![0; LARGEST], Instant::now());
        Ok(Self { udp, noise, peer, shared, buffer, ticked, heard: ticked, unsent: None, mismatch: false })
    }

    /// Greets the peer until there is a session, for at most `limit`.
    pub(super) async fn greet(&mut self, limit: Duration) -> Result<(), Silence> {
        match tokio::time::timeout(limit, self.answered()).await {
            Ok(()) => Ok(()),
            Err(_) if self.mismatch => Err(Silence::Mismatch),
            Err(_) => Err(Silence::Nothing(self.unsent.take())),
        }
    }

    async fn answered(&mut self) {
        while !self.noise.established() {
            let greeting = self.noise.greeting();
            self.send_all(greeting).await;
            let again = tokio::time::sleep(AGAIN);
            tokio::pin!(again);
            while !self.noise.established() {
                tokio::select! {
                    () = &mut again => break,
                    _ = self.udp.readable() => {}
                }
                if self.hear().await.is_err() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Moves packets until nobody holds the tunnel.
    pub(super) async fn run(mut self) {
        let _end = End(self.shared.clone());
        let mut farewell: Option<Instant> = None;
        loop {
            if self.shared.given_up.load(Ordering::Acquire) {
                let since = *farewell.get_or_insert_with(Instant::now);
                if since.elapsed() > FAREWELL || !self.shared.stack().has_last_words() {
                    break;
                }
            }
            let heard = self.hear().await;
            if heard.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            let packets = self.shared.stack().turn();
            let busy = heard.is_ok_and(|count| count > 0) || !packets.is_empty();
            for packet in packets {
                let datagram = self.noise.wrap(&packet);
                self.send_all(datagram).await;
            }
            self.tick().await;
            if self.shared.refresh.swap(false, Ordering::AcqRel) && self.heard.elapsed() > SILENT {
                let greeting = self.noise.greeting();
                self.send_all(greeting).await;
            }
            if busy {
                tokio::task::yield_now().await;
            } else {
                self.rest().await;
            }
        }
    }

    /// Waits until there is something to do.
    async fn rest(&self) {
        let idle = self.shared.stack().idle().unwrap_or(TICK);
        let until_tick = TICK.saturating_sub(self.ticked.elapsed());
        tokio::select! {
            _ = self.udp.readable() => {}
            () = self.shared.work.notified() => {}
            () = tokio::time::sleep(idle.min(until_tick)) => {}
        }
    }

    async fn tick(&mut self) {
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            let due = self.noise.tick();
            self.send_all(due).await;
        }
    }

    /// Takes in what the socket has, and answers what asks for it; returns how many datagrams there were.
    async fn hear(&mut self) -> io::Result<usize> {
        for count in 0..BATCH {
            let (length, from) = match self.udp.try_recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            };
            let heard = self.noise.hear(from.ip(), &self.buffer[..length]);
            self.mismatch |= heard.mismatch;
            // Whoever answers by the right keys is the peer, wherever it is now.
            if heard.authentic {
                (self.peer, self.heard) = (from, Instant::now());
            }
            if let Some(packet) = heard.packet {
                self.shared.stack().deliver(packet);
            }
            for reply in heard.replies {
                // A cookie is for who asked, known or not.
                self.send(&reply, from).await;
            }
        }
        Ok(BATCH)
    }

    async fn send_all(&mut self, datagrams: impl IntoIterator<Item = Vec<u8>>) {
        for datagram in datagrams {
            self.send(&datagram, self.peer).await;
        }
    }

    /// Sends a datagram; one that cannot be sent is lost, as on any network.
    async fn send(&mut self, datagram: &[u8], to: SocketAddr) {
        loop {
            match self.udp.try_send_to(datagram, to) {
                Ok(_) => self.unsent = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.udp.writable().await.is_ok() {
                        continue;
                    }
                }
                Err(error) => self.unsent = Some(error),
            }
            return;
        }
    }
}

/// Tells every stream when the task is over, however it ends.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.stack().end("the tunnel has ended".to_owned());
    }
}
