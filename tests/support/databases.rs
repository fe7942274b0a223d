//! A MariaDB and a PostgreSQL of our own, each below a temporary directory, on a free port, under its own account.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ryo::secret::Secret;
use ryo::sql::{Server, Way};

/// How long a server may take to answer.
const STARTS: Duration = Duration::from_mins(2);

/// A server, and where it keeps everything.
pub struct Started {
    directory: tempfile::TempDir,
    process: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its unix socket.
    pub socket: String,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Started {
    /// Where it keeps everything.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server as `user`, over TCP.
    pub fn over_tcp(&self, user: &str, password: &str, database: Option<&str>) -> Server {
        server(Way::Tcp("127.0.0.1".to_owned(), self.port), user, password, database)
    }

    /// The server as `user`, over its unix socket.
    pub fn over_socket(&self, user: &str, database: Option<&str>) -> Server {
        server(Way::Socket(self.socket.clone().into()), user, "", database)
    }
}

fn server(way: Way, user: &str, password: &str, database: Option<&str>) -> Server {
    Server {
        name: "the server".to_owned(),
        ways: vec![way],
        user: user.to_owned(),
        password: Some(password).filter(|password| !password.is_empty()).map(Secret::new),
        database: database.map(str::to_owned),
        limit: Duration::from_secs(30),
    }
}

/// An account of this computer, by its numbers.
fn account(name: &str) -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")));
    let line = line.unwrap_or_else(|| panic!("there is no account `{name}`: tests/bed/up installs the servers"));
    let words: Vec<&str> = line.split(':').collect();
    (words[2].parse().unwrap(), words[3].parse().unwrap())
}

/// A program as that account, which keeps nothing of our environment.
fn program(path: &Path, (uid, gid): (u32, u32), directory: &Path) -> Command {
    let mut command = Command::new(path);
    command.uid(uid).gid(gid).current_dir(directory).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

fn directory((uid, gid): (u32, u32)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
    directory
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn made(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts `command`, whose words go to the log, and waits until it listens.
fn listening(mut command: Command, directory: tempfile::TempDir, port: u16, socket: String) -> Started {
    let log = fs::File::create(directory.path().join("log")).unwrap();
    let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let mut started = Started { directory, process, port, socket };
    let until = Instant::now() + STARTS;
    while std::os::unix::net::UnixStream::connect(&started.socket).is_err() {
        let log = || fs::read_to_string(started.directory.path().join("log")).unwrap_or_default();
        assert!(started.process.try_wait().unwrap().is_none(), "the server has ended: {}", log());
        assert!(Instant::now() < until, "the server does not listen: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    started
}

/// A MariaDB whose `root` gets in without a password.
pub fn mariadb() -> Started {
    let mysql = account("mysql");
    let directory = directory(mysql);
    let at = directory.path().to_owned();
    let mut install = program(Path::new("/usr/bin/mariadb-install-db"), mysql, &at);
    install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
    install.arg(format!("--datadir={}/data", at.display()));
    made(install);
    let (port, socket) = (free_port(), at.join("socket").display().to_string());
    let mut server = program(Path::new("/usr/sbin/mariadbd"), mysql, &at);
    server.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
    server.arg(format!("--datadir={}/data", at.display())).arg(format!("--port={port}"));
    server.arg(format!("--socket={socket}")).arg(format!("--pid-file={}/pid", at.display()));
    listening(server, directory, port, socket)
}

/// A PostgreSQL whose accounts get in without a password, unless its `pg_hba.conf` is changed.
pub fn postgres() -> Started {
    let postgres = account("postgres");
    let programs = fs::read_dir("/usr/lib/postgresql").expect("tests/bed/up installs PostgreSQL");
    let newest = programs.map(|entry| entry.unwrap().path()).max().unwrap().join("bin");
    let directory = directory(postgres);
    let at = directory.path().to_owned();
    let mut install = program(&newest.join("initdb"), postgres, &at);
    install.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "-D"]).arg(at.join("data"));
    made(install);
    let port = free_port();
    let mut server = program(&newest.join("postgres"), postgres, &at);
    server.arg("-D").arg(at.join("data")).arg("-k").arg(&at).arg("-p").arg(port.to_string());
    server.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    let socket = at.join(format!(".s.PGSQL.{port}")).display().to_string();
    let started = listening(server, directory, port, socket);
    // It listens before it lets anybody in.
    let until = Instant::now() + STARTS;
    while !fs::read_to_string(at.join("data/postmaster.pid")).is_ok_and(|text| text.trim_end().ends_with("ready")) {
        assert!(Instant::now() < until, "the server does not become ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    started
}
