//! The binary put on a target and started there, this computer being the target.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use ryo::agent::{Binary, Client, Error};
use ryo::local::Local;
use ryo::machine::{Command, Lost, Machine, Process};
use ryo::playbook::connection::{Become, Method};
use ryo::secret::Secret;

/// This computer, with the commands counted and other programs found first.
struct Elsewhere {
    opened: AtomicUsize,
    programs: Option<PathBuf>,
}

impl Elsewhere {
    fn new(programs: Option<PathBuf>) -> Self {
        Self { opened: AtomicUsize::new(0), programs }
    }
}

impl Machine for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let mut words = vec!["env".to_owned()];
        if let Some(programs) = &self.programs {
            words.push(format!("PATH={}:{}", programs.display(), std::env::var("PATH").unwrap()));
        }
        words.extend(command.words.clone());
        Box::pin(async move { Local::new().open(&Command::new(words)).await })
    }
}

/// This computer with the search path set in a shell.
struct Bare(String);

impl Machine for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }
    fn open<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        let words = ["sh", "-c", &self.0, "sh"].map(str::to_owned).into_iter().chain(command.words.clone());
        let command = Command::new(words);
        Box::pin(async move { Local::new().open(&command).await })
    }
}

/// A small program that is `ryo`, unlike any other.
fn binary(folder: &std::path::Path) -> Binary {
    let path = folder.join("ryo");
    let unique = folder.display();
    fs::write(&path, format!("#!/bin/sh\n# {unique}\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_ryo"))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Binary::at(path)
}

/// Takes away what was put on this computer.
struct Placed(PathBuf);

impl Drop for Placed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn program(folder: &std::path::Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn become_user(user: &str, method: Method) -> Become {
    Become { user: user.to_owned(), method, flags: vec![] }
}

fn placed(binary: &Binary) -> Placed {
    use sha2::Digest as _;
    let digest = hex::encode(sha2::Sha256::digest(fs::read(binary.path()).unwrap()));
    let home = std::env::var("HOME").unwrap();
    let root = rustix::process::geteuid().is_root();
    let above = if root { "/var/lib/ryo/agent".to_owned() } else { format!("{home}/.cache/ryo/agent") };
    Placed(PathBuf::from(above).join(&digest[..32]))
}

#[tokio::test]
async fn the_binary_is_put_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let (binary, machine) = (binary(folder.path()), Elsewhere::new(None));
    let placed = placed(&binary);
    drop(Client::start(&machine, &binary, None).await.unwrap());
    assert_eq!(machine.opened.load(Ordering::SeqCst), 3, "looked for, put there, started");
    assert_eq!(fs::read(placed.0.join("ryo")).unwrap(), fs::read(binary.path()).unwrap());
    assert_eq!(fs::metadata(&placed.0).unwrap().permissions().mode() & 0o777, 0o700);
    drop(Client::start(&machine, &binary, None).await.unwrap());
    assert_eq!(machine.opened.load(Ordering::SeqCst), 4, "one round trip");
}

#[tokio::test]
async fn without_gzip_it_is_sent_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let binary = binary(folder.path());
    let placed = placed(&binary);
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    for name in ["sh", "id", "uname", "mkdir", "cat", "sha256sum", "chmod", "mv", "rm"] {
        let found = ["/usr/bin", "/bin"].map(|folder| PathBuf::from(folder).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, programs.join(name)).unwrap();
    }
    let line = format!("PATH={} exec \"$@\"", programs.display());
    drop(Client::start(&Bare(line), &binary, None).await.unwrap());
    assert!(placed.0.join("ryo").exists());
}

#[tokio::test]
async fn another_processor_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let binary = binary(folder.path());
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    program(&programs, "uname", "#!/bin/sh\necho riscv64\n");
    let error = Client::start(&Elsewhere::new(Some(programs)), &binary, None).await.unwrap_err();
    let ours = std::env::consts::ARCH;
    assert_eq!(error.to_string(), format!("elsewhere has a `riscv64` processor, this `ryo` is for `{ours}`"));
}

#[tokio::test]
async fn a_password_is_given_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let binary = binary(folder.path());
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    // Not root, and a `sudo` that asks as the real one does.
    program(&programs, "id", "#!/bin/sh\ncase $1 in -u) echo 1000;; *) echo anna;; esac\n");
    let sudo = "#!/bin/sh
case $1 in
-n) echo 'sudo: a password is required' >&2; exit 1 ;;
esac
for try in 1 2 3; do
  printf 'ryo-become-password:' >&2
  read -r word
  if [ \"$word\" = right ]; then
    while [ \"$1\" != -- ]; do shift; done
    shift
    exec \"$@\"
  fi
  echo 'Sorry, try again.' >&2
done
exit 1
";
    program(&programs, "sudo", sudo);
    let machine = Elsewhere::new(Some(programs));
    let root = become_user("root", Method::Sudo);
    let _spare = Placed("/var/tmp/ryo-1000".into());
    let start = async |password: Option<&str>| {
        let password = password.map(Secret::new);
        Client::start(&machine, &binary, Some((&root, password.as_ref()))).await
    };
    drop(start(Some("right")).await.unwrap());
    let wrong = start(Some("wrong")).await.unwrap_err();
    assert_eq!(wrong.to_string(), "the password to become `root` on elsewhere is wrong");
    let missing = start(None).await.unwrap_err();
    assert_eq!(missing.to_string(), "the password to become `root` on elsewhere is not given");
}

#[tokio::test]
async fn root_becomes_another_account_without_sudo() {
    assert!(rustix::process::geteuid().is_root(), "the tests run as root");
    let nobody = become_user("nobody", Method::Sudo);
    let binary = Binary::at(env!("CARGO_BIN_EXE_ryo"));
    let client = Client::local(&binary, Some((&nobody, None))).await.unwrap();
    let facts = client.facts().await.unwrap();
    assert_eq!(facts["user_id"], serde_json::json!("nobody"));
    let finished = client.run(&Command::new(["id", "-un"]), b"").await.unwrap();
    assert_eq!(finished.stdout, b"nobody\n");
    let none = become_user("ryo-no-such-account", Method::Sudo);
    let error = Client::local(&binary, Some((&none, None))).await.unwrap_err();
    assert!(matches!(&error, Error::Become { .. }));
    assert_eq!(
        error.to_string(),
        "cannot become `ryo-no-such-account` on localhost: error: there is no account `ryo-no-such-account`"
    );
}

#[tokio::test]
async fn sudo_is_told_the_flags_of_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let binary = binary(folder.path());
    let (programs, told) = (folder.path().join("bin"), folder.path().join("told"));
    fs::create_dir(&programs).unwrap();
    program(&programs, "id", "#!/bin/sh\ncase $1 in -u) echo 1000;; *) echo anna;; esac\n");
    let sudo = format!(
        "#!/bin/sh\necho \"$*\" > {}\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
        told.display()
    );
    program(&programs, "sudo", &sudo);
    let machine = Elsewhere::new(Some(programs));
    let _spare = Placed("/var/tmp/ryo-1000".into());
    let word = Secret::new("word");
    let table: [(&[&str], Option<&Secret>, &str); 4] = [
        (&[], None, "-n -H -u root -- "),
        (&["-E"], None, "-n -E -u root -- "),
        (&["-n", "-i"], Some(&word), "-S -i -p ryo-become-password: -u root -- "),
        (&[], Some(&word), "-S -H -p ryo-become-password: -u root -- "),
    ];
    for (flags, password, wanted) in table {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let root = Become { flags, ..become_user("root", Method::Sudo) };
        drop(Client::start(&machine, &binary, Some((&root, password))).await.unwrap());
        let told = fs::read_to_string(&told).unwrap();
        assert!(told.starts_with(wanted), "{told}");
    }
    let nobody = Become { flags: vec!["-i".to_owned()], ..become_user("nobody", Method::Sudo) };
    let error = Client::local(&Binary::at(env!("CARGO_BIN_EXE_ryo")), Some((&nobody, None))).await.unwrap_err();
    let wanted = "cannot become `nobody` on localhost: root takes on accounts by itself, without -i";
    assert_eq!(error.to_string(), wanted);
}
