//! A whole deployment in memory: servers in memory, agents in this process below a temporary root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ryo::agent;
use ryo::agent::serve::serve;
use ryo::archive::Compression;
use ryo::archive::seal::Recipients;
use ryo::backend::Native;
use ryo::consul;
use ryo::container::Container;
use ryo::event::{Event, Events};
use ryo::failure::Failure;

use ryo::flow::apply;
use ryo::flow::backup::{self, Source, Spec};
use ryo::flow::history;
use ryo::flow::instance::Pause;
use ryo::flow::names::Names;
use ryo::flow::restore;
use ryo::flow::session::{self, Planned, Wanted};
use ryo::flow::unit::Version;
use ryo::flow::world::{Limits, ReachDatabase, World};
use ryo::flow::{look, prune, rollback};
use ryo::http::Http;
use ryo::lxd;
use ryo::machine::{Command, Lost, Machine, Process};
use ryo::module::System;
use ryo::plan::{Action, Plan, Step};
use ryo::playbook::Connect;
use ryo::playbook::connection::Connection;
use ryo::playbook::reading::Reading;
use ryo::project;
use ryo::sql;
use ryo::terraform::DatabaseProvider;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, duplex};
use tokio::sync::watch;
use tokio_util::io::{InspectReader, SyncIoBridge};

use crate::support::fake_consul::FakeConsul;
use crate::support::fake_lxd::{FakeFile, FakeLxd};
use crate::support::work::copy;

/// How far the connection to the agent on the host carries, in bytes each way, and how many went.
#[derive(Clone, Debug)]
pub struct Carries {
    /// To the host.
    pub up: u64,
    /// From the host.
    pub down: u64,
    /// What went, each way.
    pub gone: Arc<[AtomicU64; 2]>,
}

impl Default for Carries {
    fn default() -> Self {
        Self { up: u64::MAX, down: u64::MAX, gone: Arc::default() }
    }
}

impl Carries {
    /// What went so far, to the host and from it.
    pub fn counted(&self) -> [u64; 2] {
        [0, 1].map(|way| self.gone[way].load(Ordering::SeqCst))
    }

    fn count(&self, way: usize, bytes: &[u8]) {
        self.gone[way].fetch_add(bytes.len() as u64, Ordering::SeqCst);
    }
}

/// A machine below a directory: every command that is opened on it is an agent.
struct Below {
    root: PathBuf,
    carries: Carries,
}

impl Machine for Below {
    fn name(&self) -> &'static str {
        "the host"
    }

    fn open<'a>(&'a self, _command: &'a Command) -> BoxFuture<'a, Result<Process, Lost>> {
        let (root, up, down) = (self.root.clone(), self.carries.clone(), self.carries.clone());
        Box::pin(async move {
            let (stdin, input) = duplex(1 << 20);
            let (output, stdout) = duplex(1 << 20);
            let (most_up, most_down) = (up.up, down.down);
            let input = InspectReader::new(input.take(most_up), move |bytes| up.count(0, bytes));
            let stdout = InspectReader::new(stdout.take(most_down), move |bytes| down.count(1, bytes));
            let served = tokio::task::spawn(serves(root, input, output));
            let end = Box::pin(async move {
                let _ = served.await;
                Ok(0)
            });
            Ok(Process { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(tokio::io::empty()), end })
        })
    }
}

async fn serves(
    root: PathBuf,
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (input, output) = (SyncIoBridge::new(input), SyncIoBridge::new(output));
    let _ = tokio::task::spawn_blocking(move || serve(System::below(root), input, output)).await;
}

/// Everything that a deployment works on.
pub struct Stage {
    /// LXD.
    pub lxd: Arc<FakeLxd>,
    /// Consul.
    pub consul: Arc<FakeConsul>,
    /// How many first boots of instances that are deployed fail from now on, and by what.
    pub boots: Arc<Mutex<(usize, String)>>,
    /// How long things may take.
    pub limits: Limits,
    /// How far the connection to the host carries.
    pub carries: Carries,
    /// How database servers are reached.
    pub database: ReachDatabase,
    /// The version that is deployed.
    pub version: String,
    /// The repositories that are deployed: the module and the project, unless a test says otherwise.
    pub repositories: Vec<&'static str>,
    directory: tempfile::TempDir,
}

/// How a deployment failed, as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Exit code.
    pub code: u8,
    /// The text at the end.
    pub text: String,
    /// Warnings on the way.
    pub warnings: Vec<String>,
}

/// The wait for cloud-init in an instance: there is none unless the first boot is to fail.
fn first_boot(lxd: &FakeLxd, boots: &Mutex<(usize, String)>, instance: &str) -> i32 {
    const RESULT: &str = "/run/cloud-init/result.json";
    let mut boots = boots.lock().unwrap();
    // One that was removed while the command was on its way ends it.
    let ended = lxd.in_instance(instance, |instance| {
        if instance.files.contains_key(RESULT) {
            return 1;
        }
        if boots.0 == 0 || instance.config.contains_key("user.ryo.build") {
            return 127;
        }
        boots.0 -= 1;
        let content = json!({ "v1": { "datasource": "DataSourceNoCloud", "errors": [boots.1] } }).to_string();
        instance.files.insert(RESULT.to_owned(), FakeFile { content: content.into_bytes(), ..FakeFile::default() });
        "Booting\nFailed to start the application\n".clone_into(&mut instance.console);
        1
    });
    ended.unwrap_or(137)
}

impl Stage {
    /// A host without anything and the repositories of `tests/repositories`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repositories"), &directory.path().join("work"));
        let fake = FakeLxd::default();
        let nic = json!({ "name": "eth0", "network": "local", "type": "nic" });
        let root = json!({ "path": "/", "pool": "default", "type": "disk" });
        fake.add_profile("build", &json!({}), &json!({ "eth0": nic, "root": root }));
        let stage = Self {
            lxd: Arc::new(fake),
            consul: Arc::new(FakeConsul::default()),
            boots: Arc::default(),
            limits: Limits::default(),
            carries: Carries::default(),
            database: Arc::new(reached),
            version: "1".to_owned(),
            repositories: vec!["ryo-tiny-store", "ryo-tiny"],
            directory,
        };
        let instances = stage.path("instances");
        let (server, boots) = (Arc::downgrade(&stage.lxd), stage.boots.clone());
        stage.lxd.on_exec(move |exec| {
            let root = instances.join(&exec.instance);
            let (server, boots) = (server.upgrade(), boots.clone());
            Box::pin(async move {
                if exec.words.iter().any(|word| word.contains("agent")) {
                    std::fs::create_dir_all(root.join("etc")).unwrap();
                    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
                    std::fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
                    serves(root, exec.stdin, exec.stdout).await;
                    return 0;
                }
                let waits = exec.words.last().is_some_and(|word| word.contains("cloud-init status --wait"));
                if let (Some(lxd), true) = (server, waits) {
                    return first_boot(&lxd, &boots, &exec.instance);
                }
                let prepares = exec.words.iter().any(|word| word.contains("/var/lib/ryo"));
                if prepares { 0 } else { 127 }
            })
        });
        stage
    }

    /// Returns the path of `name` below the stage's directory: `work/…`, `host/…`, `instances/…`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The connections of a flow, over these wires.
    pub async fn world(&self, lxd: Arc<dyn Http>, consul: Arc<dyn Http>) -> World {
        let host = self.path("host");
        std::fs::create_dir_all(host.join("etc")).unwrap();
        std::fs::write(host.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        std::fs::write(host.join("etc/group"), "root:x:0:\n").unwrap();
        let machine: Arc<dyn Machine> = Arc::new(Below { root: host, carries: self.carries.clone() });
        let process = machine.open(&Command::new(["agent"])).await.unwrap();
        let client = lxd::Client::new(lxd);
        let guests = client.clone();
        let connect: Connect = Arc::new(move |connection| {
            let machine = match connection {
                Connection::Lxd(guest) | Connection::Incus(guest) => {
                    Arc::new(Container::new(guests.clone(), guest.instance, "a container")) as Arc<dyn Machine>
                }
                Connection::Local | Connection::Ssh(_) => machine.clone(),
            };
            Box::pin(async move { Ok(machine) })
        });
        World {
            reading: Reading::default(),
            host: "local".to_owned(),
            lxd: client,
            access: None,
            own_consul: consul::Client::new(consul.clone(), None, None),
            consul: Arc::new(move |_| consul::Client::new(consul.clone(), None, None)),
            database: self.database.clone(),
            agent: Arc::new(agent::Client::over("the host", process).await.unwrap()),
            configure: Arc::new(Native { connect: connect.clone(), reading: Reading::default() }),
            programs: BTreeMap::new(),
            connect,
            state: "/var/lib/ryo/hosts".to_owned(),
            inventory: self.path("work/ryo-host/configuration/inventory_local"),
            working_directory: self.path("work"),
            names: Names::default(),
            limits: self.limits,
        }
    }

    /// The tiny project and the module that it needs.
    pub fn wanted(&self) -> Wanted {
        let load = |name: &str| project::load(&self.path("work").join(name)).unwrap();
        Wanted {
            title: format!("deploy ryo-tiny {} on local", self.version),
            repositories: self.repositories.iter().map(|name| load(name)).collect(),
            version: Version::Given(self.version.clone()),
        }
    }

    /// Looks and plans the way back of the tiny project.
    pub async fn plans_back(&self, to: Option<&str>) -> Result<Plan, String> {
        let world = self.world(self.lxd.clone(), self.consul.clone()).await;
        let (_sender, stop) = watch::channel(false);
        let planned = rollback::plan(&world, &tiny(), to, &Events::nowhere(), &stop).await;
        planned.map(|planned| planned.plan).map_err(|error| Failure::from(error).text())
    }

    /// Looks, plans and carries the way back out; an error as the text that a person would read.
    pub async fn rolls_back(
        &self,
        lxd: Arc<dyn Http>,
        consul: Arc<dyn Http>,
        to: Option<&str>,
    ) -> Result<Plan, String> {
        self.goes_back(lxd, consul, to).await.map_err(|failure| failure.text())
    }

    async fn goes_back(&self, lxd: Arc<dyn Http>, consul: Arc<dyn Http>, to: Option<&str>) -> Result<Plan, Failure> {
        let world = self.world(lxd, consul).await;
        let (_sender, stop) = watch::channel(false);
        let planned = rollback::plan(&world, &tiny(), to, &Events::nowhere(), &stop).await?;
        apply::apply(&world, &planned.plan, &Events::nowhere(), &stop).await?;
        history::write(&world, &tiny().owner, &planned.history).await?;
        Ok(planned.plan)
    }

    /// The names of images that `ryo image prune` would remove if it kept none but those that are needed, sorted.
    pub async fn prunes(&self) -> Vec<String> {
        let world = self.world(self.lxd.clone(), self.consul.clone()).await;
        let mut found = look::server(&world).await.unwrap();
        found.kept = history::kept(&world, &found).await.unwrap();
        let removed = |step: &Step| match &step.action {
            Action::RemoveImage { aliases, .. } => aliases.join(", "),
            other => panic!("{other}"),
        };
        let mut names: Vec<String> = prune::plan("prune", &found, 0).steps.iter().map(removed).collect();
        names.sort();
        names
    }

    /// Looks and plans.
    pub async fn plan(&self) -> Plan {
        self.plan_of(Some(&self.version)).await
    }

    /// Looks and plans a version, or the present one.
    pub async fn plan_of(&self, version: Option<&str>) -> Plan {
        let world = self.world(self.lxd.clone(), self.consul.clone()).await;
        let (_sender, stop) = watch::channel(false);
        let wanted = Wanted { version: Version::chosen(version, "now".to_owned()), ..self.wanted() };
        session::plan(&world, &wanted, &Events::nowhere(), &stop).await.unwrap().plan
    }

    /// Looks, plans and applies; an error as the text that a person would read.
    pub async fn deploy(&self, lxd: Arc<dyn Http>, consul: Arc<dyn Http>) -> Result<usize, String> {
        self.run(lxd, consul, &Events::nowhere()).await.map_err(|failure| failure.text())
    }

    async fn run(&self, lxd: Arc<dyn Http>, consul: Arc<dyn Http>, events: &Events) -> Result<usize, Failure> {
        let world = self.world(lxd, consul).await;
        let (_sender, stop) = watch::channel(false);
        let Planned { plan, units } = session::plan(&world, &self.wanted(), events, &stop).await?;
        apply::apply(&world, &plan, events, &stop).await?;
        history::remember(&world, &units).await?;
        Ok(plan.steps.len())
    }

    /// Deploys over wires that do not break, which fails; returns how. Names that are made up each time are `BUILD`.
    pub async fn fails(&self) -> Told {
        self.fails_over(self.lxd.clone(), self.consul.clone()).await
    }

    /// As [`Self::fails`], over these wires.
    pub async fn fails_over(&self, lxd: Arc<dyn Http>, consul: Arc<dyn Http>) -> Told {
        let warnings = Arc::new(Mutex::new(vec![]));
        let noted = warnings.clone();
        let events = Events::new(move |event| {
            if let Event::Warned { message } = event {
                noted.lock().unwrap().push(message);
            }
        });
        let failure = self.run(lxd, consul, &events).await.expect_err("it fails");
        let here = self.directory.path().display().to_string();
        let tidy = |text: &str| {
            let text = text.replace(&here, "HERE");
            regex::Regex::new("ryo-build-[0-9a-f]{8}").unwrap().replace_all(&text, "BUILD").into_owned()
        };
        let warnings = warnings.lock().unwrap().iter().map(|text: &String| tidy(text)).collect();
        Told { code: failure.kind.code(), text: tidy(&failure.text()), warnings }
    }

    /// Replaces text in a file of the repositories.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path("work").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Deploys over wires that do not break.
    pub async fn deploys(&self) -> usize {
        self.deploy(self.lxd.clone(), self.consul.clone()).await.unwrap()
    }

    /// As [`Self::deploys`], telling what happens.
    pub async fn deploys_and_tells(&self, events: &Events) {
        self.run(self.lxd.clone(), self.consul.clone(), events).await.unwrap();
    }

    /// What is backed up of the tiny project: its module first.
    pub fn archives(&self, stamp: &str, compression: Compression) -> Vec<Spec> {
        self.sealed_archives(stamp, compression, &Recipients::default())
    }

    /// The same, encrypted.
    pub fn sealed_archives(&self, stamp: &str, compression: Compression, recipients: &Recipients) -> Vec<Spec> {
        let directory = backup::directory(&self.path("work"));
        let spec = |id: &str, kind| Spec {
            host: "local".to_owned(),
            source: Source { id: id.to_owned(), kind },
            stamp: stamp.to_owned(),
            file: backup::file(&directory, "local", id, stamp, compression, recipients),
            repository: None,
            compression,
            recipients: recipients.clone(),
            of_host: vec![],
        };
        vec![spec("ryo-tiny-store", project::Kind::Module), spec("ryo-tiny", project::Kind::Project)]
    }

    /// Looks, plans and makes a backup; an error as the text that a person would read.
    pub async fn backs_up(&self, lxd: Arc<dyn Http>, specs: &[Spec], events: &Events) -> Result<Plan, String> {
        self.backs_up_by(Pause::Stop, lxd, specs, events).await
    }

    /// The same, with instances stopped or frozen.
    pub async fn backs_up_by(
        &self,
        how: Pause,
        lxd: Arc<dyn Http>,
        specs: &[Spec],
        events: &Events,
    ) -> Result<Plan, String> {
        let world = self.world(lxd, self.consul.clone()).await;
        let (_sender, stop) = watch::channel(false);
        let told = |failure: Failure| failure.text().replace(&self.directory.path().display().to_string(), "HERE");
        let _held = backup::store::hold(specs, events).await.map_err(|error| told(error.into()))?;
        let seen = backup::look(&world, specs).await.map_err(|error| told(error.into()))?;
        let plan = backup::plan("backup ryo-tiny on local", specs, &seen, how);
        apply::apply(&world, &plan, events, &stop).await.map_err(|error| told(error.into()))?;
        Ok(plan)
    }

    /// Looks, makes a backup and, behind it, deploys.
    pub async fn backs_up_and_deploys(&self, specs: &[Spec]) -> Result<(), (u8, String)> {
        let world = self.world(self.lxd.clone(), self.consul.clone()).await;
        let (_sender, stop) = watch::channel(false);
        let seen = backup::look(&world, specs).await.unwrap();
        let first = backup::plan("upgrade", specs, &seen, Pause::Stop);
        let planned = session::plan(&world, &self.wanted(), &Events::nowhere(), &stop).await.unwrap();
        let ended = apply::apply(&world, &first.followed_by(planned.plan), &Events::nowhere(), &stop).await;
        ended.map_err(Failure::from).map_err(|failure| (failure.kind.code(), failure.text()))
    }

    /// Looks, makes a plan for the tiny project and its module, and carries it out.
    pub async fn settles(
        &self,
        lxd: Arc<dyn Http>,
        make: impl FnOnce(&[String], &restore::Seen) -> Result<Plan, restore::Error>,
    ) -> Result<Plan, (u8, String)> {
        self.settles_and_tells(lxd, &Events::nowhere(), make).await
    }

    /// As [`Self::settles`], telling what happens.
    pub async fn settles_and_tells(
        &self,
        lxd: Arc<dyn Http>,
        events: &Events,
        make: impl FnOnce(&[String], &restore::Seen) -> Result<Plan, restore::Error>,
    ) -> Result<Plan, (u8, String)> {
        let world = self.world(lxd, self.consul.clone()).await;
        let (_sender, stop) = watch::channel(false);
        let here = self.directory.path().display().to_string();
        let told = |failure: Failure| (failure.kind.code(), failure.text().replace(&here, "HERE"));
        let ids = ["ryo-tiny-store".to_owned(), "ryo-tiny".to_owned()];
        let seen = restore::look(&world, &ids).await.map_err(|error| told(error.into()))?;
        let plan = make(&ids, &seen).map_err(|error| told(error.into()))?;
        apply::apply(&world, &plan, events, &stop).await.map_err(|error| told(error.into()))?;
        Ok(plan)
    }

    /// The versions of the tiny project that are kept, and which of them is the present one.
    pub fn kept(&self) -> (Vec<String>, u64) {
        let file = self.path("host/var/lib/ryo/hosts/local/ryo-tiny/versions.json");
        let history: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let versions = history["versions"].as_array().unwrap().iter();
        let names = versions.map(|version| version["version"].as_str().unwrap().to_owned()).collect();
        (names, history["present"].as_u64().unwrap())
    }

    /// Everything that is there but for what is remembered of the past: servers, the files of the host, the lists.
    pub fn everything(&self) -> Value {
        let lists = files(&self.path("work/ryo-host"));
        json!({ "lxd": self.lxd.world(), "consul": self.consul.world(), "host": files(&self.path("host")), "lists": lists })
    }
}

/// A database server where its provider says, from here.
fn reached(provider: &DatabaseProvider) -> sql::Server {
    sql::Server {
        name: provider.to_string(),
        ways: vec![sql::Way::Tcp(provider.host.clone(), provider.port)],
        user: provider.user.clone(),
        password: provider.password.clone(),
        database: provider.database.clone(),
        limit: Duration::from_secs(10),
    }
}

/// The tiny project, as it is rolled back.
fn tiny() -> rollback::Source {
    rollback::Source { name: "ryo-tiny".to_owned(), owner: "ryo-tiny".to_owned(), kind: project::Kind::Project }
}

fn files(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("journal.jsonl") && !path.ends_with("versions.json") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    found
}
