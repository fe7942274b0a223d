//! An SSH server in this process: runs commands with `sh -c`, as a real one does.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handler, Msg, Response, Session};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, MethodKind, MethodSet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whom the server lets in.
#[derive(Clone, Default)]
pub(crate) struct Lets {
    pub(crate) anybody: bool,
    /// Never answers who asks to be let in.
    pub(crate) silent: bool,
    pub(crate) key: Option<PublicKey>,
    pub(crate) password: Option<String>,
    /// The password, as the answer to a question.
    pub(crate) answer: Option<String>,
}

/// A running server. Dropping it leaves its connections alone.
pub(crate) struct Sshd {
    pub(crate) address: SocketAddr,
    pub(crate) host_key: PublicKey,
    /// How many commands are running.
    pub(crate) running: watch::Receiver<usize>,
}

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

impl Sshd {
    pub(crate) async fn start(lets: Lets) -> Self {
        Self::with_keys(lets, vec![new_key()]).await
    }

    pub(crate) async fn with_keys(lets: Lets, keys: Vec<PrivateKey>) -> Self {
        let host_key = keys[0].public_key().clone();
        let mut methods = MethodSet::empty();
        methods.push(MethodKind::PublicKey);
        if lets.password.is_some() {
            methods.push(MethodKind::Password);
        }
        if lets.answer.is_some() {
            methods.push(MethodKind::KeyboardInteractive);
        }
        let config = Arc::new(server::Config {
            keys,
            methods,
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            ..server::Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, running) = watch::channel(0);
        let count = Arc::new(count);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let login = Login { lets: lets.clone(), count: count.clone() };
                let config = config.clone();
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, stream, login).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self { address, host_key, running }
    }
}

struct Login {
    lets: Lets,
    count: Arc<watch::Sender<usize>>,
}

fn verdict(right: bool) -> Auth {
    if right { Auth::Accept } else { Auth::reject() }
}

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        if self.lets.silent {
            std::future::pending::<()>().await;
        }
        Ok(verdict(self.lets.anybody))
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(verdict(self.lets.password.as_deref() == Some(password)))
    }

    async fn auth_publickey(&mut self, _user: &str, key: server::VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(verdict(self.lets.key.as_ref().is_some_and(|right| right.key_data() == key.public_key.key_data())))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            });
        };
        let given = response.next().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(verdict(given == self.lets.answer))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // As `MaxSessions` of OpenSSH.
        if *self.count.borrow() == 10 {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        self.count.send_modify(|count| *count += 1);
        reply.accept().await;
        tokio::spawn(serve(channel, self.count.clone()));
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match TcpStream::connect((host, u16::try_from(port).unwrap())).await {
            Ok(mut to) => {
                reply.accept().await;
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut to).await });
            }
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if path.starts_with("/forbidden") {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        match UnixStream::connect(path).await {
            Ok(mut to) => {
                reply.accept().await;
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut to).await });
            }
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }
}

/// Waits for `exec`, runs the line and says how it ended.
async fn serve(channel: Channel<Msg>, count: Arc<watch::Sender<usize>>) {
    let (mut reader, writer) = channel.split();
    let line = loop {
        match reader.wait().await {
            Some(ChannelMsg::Exec { command, .. }) => break String::from_utf8(command).unwrap(),
            Some(_) => {}
            None => return,
        }
    };
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let input = async {
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    let Some(to) = &mut stdin else { continue };
                    if to.write_all(&data).await.is_err() {
                        stdin = None;
                    }
                }
                ChannelMsg::Eof => stdin = None,
                ChannelMsg::Close => return,
                _ => {}
            }
        }
    };
    let output = async {
        let (mut to_stdout, mut to_stderr) = (writer.make_writer(), writer.make_writer_ext(Some(1)));
        let _ =
            tokio::join!(tokio::io::copy(&mut stdout, &mut to_stdout), tokio::io::copy(&mut stderr, &mut to_stderr));
        let status = child.wait().await.unwrap();
        writer.exit_status(u32::try_from(status.code().unwrap_or(255)).unwrap()).await.unwrap();
        let _ = writer.eof().await;
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
    count.send_modify(|count| *count -= 1);
    let _ = writer.close().await;
}

/// Stands between a client and a server, and can stop doing so.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    carrying: JoinHandle<()>,
    frozen: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, stop) = watch::channel(false);
        let carrying = tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::join!(carry(from_client, to_server, stop.clone()), carry(from_server, to_client, stop));
        });
        Self { address, carrying, frozen }
    }

    /// Closes both sides, as when a machine is switched off and its router says so.
    pub(crate) fn cut(self) {
        self.carrying.abort();
    }

    /// Stops carrying without telling anybody.
    pub(crate) fn freeze(&self) {
        self.frozen.send(true).unwrap();
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut stop: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        tokio::select! {
            biased;
            () = async { drop(stop.wait_for(|frozen| *frozen).await) } => std::future::pending::<()>().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) if to.write_all(&buffer[..count]).await.is_err() => return,
                Ok(_) => {}
            }
        }
    }
}
