//! One image: a build instance made from the base image, its playbooks run, published, named.

use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rand::Rng as _;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::backend::{Build, ImageBuild, program};
use crate::container::Container;
use crate::flow::names;
use crate::flow::progress::Progress;
use crate::flow::world::World;
use crate::flow::{found, inputs, instance};
use crate::lxd::image::Publish;
use crate::lxd::instance::{ImageSource, NewInstance};
use crate::lxd::model::{Config, Devices, Settings};
use crate::lxd::{self, wait};
use crate::machine::{self, Command, Lost, Machine};
use crate::module::apt::lists::IMAGE_BUILD;
use crate::packer::Provisioner;
use crate::plan::ImageSpec;
use crate::playbook::connection::Connection;
use crate::playbook::{self, Connect, Source};

/// System calls that wait for the disk: in a build instance they end at once, and well. One that loses its power is thrown
/// away, and what it wrote is read by the same kernel. Package managers wait for the disk a lot.
///
/// Source: LXD's `security.syscalls.deny`, lines of seccomp policies as of liblxc; systemd-nspawn's `--suppress-sync`.
const NO_SYNC: &str = "fsync errno 0\nfdatasync errno 0\nsync errno 0\nsyncfs errno 0\nsync_file_range errno 0\n";

/// How long to wait between two looks for what a program makes.
const PAUSE: Duration = Duration::from_millis(200);

/// An image could not be built. The build instance is gone, or the next plan removes it.
#[derive(Debug, Error)]
pub enum Error {
    /// The server said so.
    #[error(transparent)]
    Lxd(#[from] lxd::Error),
    /// The build instance did not come up.
    #[error(transparent)]
    Instance(#[from] instance::Error),
    /// A playbook did not end well.
    #[error("provisioning of image `{alias}` by `{}` failed", playbook.display())]
    Provision {
        /// The image.
        alias: String,
        /// The playbook.
        playbook: PathBuf,
        /// Why.
        source: playbook::Error,
    },
    /// The build instance went away.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// What the image is made from cannot be read.
    #[error(transparent)]
    Inputs(#[from] inputs::Error),
    /// The program that builds it failed.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// The program that builds it reads the template alone.
    #[error("image `{alias}` is to be built from `{base}` instead of `{image}`, which only ryo itself can do")]
    Rewritten {
        /// The image.
        alias: String,
        /// The base image, as the template names it.
        image: String,
        /// The base image, as the settings say.
        base: String,
    },
    /// There is an instance of the name that the program gives its build instance.
    #[error("instance `{instance}` is there already, and image `{alias}` is to be built in one of that name")]
    InTheWay {
        /// The image.
        alias: String,
        /// The instance.
        instance: String,
    },
    /// The program that builds it ended well.
    #[error("the image was built, but `{alias}` is not on the host")]
    Absent {
        /// The image.
        alias: String,
    },
    /// The build instance could not be made ready to be provisioned, or to be published.
    #[error("cannot prepare the build instance of image `{alias}`: {said}")]
    Script {
        /// The image.
        alias: String,
        /// What the command said.
        said: String,
    },
}

/// Builds the image and gives it its alias. Returns its fingerprint.
///
/// # Errors
///
/// After an error an image of that alias is still the one that was there before.
pub async fn build(
    world: &World,
    spec: &ImageSpec,
    progress: &Progress,
    stop: watch::Receiver<bool>,
) -> Result<String, Error> {
    if let Some(program) = world.build(&spec.owner) {
        return by_program(world, spec, program, progress).await;
    }
    let name = format!("ryo-build-{:08x}", rand::rng().next_u32());
    let built = in_instance(world, spec, &name, progress, stop).await;
    let removed = instance::remove(world, &name).await;
    let fingerprint = built?;
    removed?;
    Ok(fingerprint)
}

/// Has a program build the image. What `ryo` knows it by is put on it afterwards.
async fn by_program(
    world: &World,
    spec: &ImageSpec,
    program: &dyn Build,
    progress: &Progress,
) -> Result<String, Error> {
    let build = &spec.build;
    let alias = build.alias.clone();
    if spec.base != build.image {
        return Err(Error::Rewritten { alias, image: build.image.clone(), base: spec.base.clone() });
    }
    if world.lxd.instance(&build.instance).await?.is_some() {
        return Err(Error::InTheWay { alias, instance: build.instance.clone() });
    }
    let before = world.lxd.alias(&alias).await?.map(|it| it.target);
    let image = ImageBuild {
        template: build.place.file.clone(),
        source: build.source.clone(),
        variables: build.variables.clone(),
    };
    let events = progress.of_playbook();
    tokio::select! {
        ended = program.build(&image, &events) => ended?,
        never = mark_build(world, spec) => match never {},
    }
    let built = world.lxd.alias(&alias).await?.map(|it| it.target).filter(|it| before.as_ref() != Some(it));
    let fingerprint = built.ok_or_else(|| Error::Absent { alias })?;
    world.lxd.add_properties(&fingerprint, &labels(spec, &spec.sources.after()?.digest())).await?;
    name(world, spec, &fingerprint).await?;
    Ok(fingerprint)
}

/// Marks the build instance as one of ours as soon as it runs: if the program is killed, the next plan removes it. Before,
/// the mark would be in the way of the program, which starts it: the server does one thing at a time with an instance.
async fn mark_build(world: &World, spec: &ImageSpec) -> Infallible {
    let mark = |settings: &mut Settings| {
        settings.config.insert(found::BUILD.to_owned(), spec.build.alias.clone());
        settings.config.insert(found::OWNER.to_owned(), spec.owner.clone());
    };
    let name = &spec.build.instance;
    while !world.lxd.state(name).await.is_ok_and(|state| state.is_running())
        || instance::change(world, name, mark).await.is_err()
    {
        sleep(PAUSE).await;
    }
    pending().await
}

async fn in_instance(
    world: &World,
    spec: &ImageSpec,
    name: &str,
    progress: &Progress,
    stop: watch::Receiver<bool>,
) -> Result<String, Error> {
    progress.say(format!("making build instance {name}"));
    world.lxd.create(&build_instance(world, spec, name).await?).await?;
    world.lxd.start(name).await?;
    progress.say("waiting for the build instance");
    let limits = [world.limits.cloud_init, world.limits.address];
    wait::booted(&world.lxd, name, limits, Instant::now() + limits[0] + limits[1]).await?;
    let machine: Arc<dyn Machine> =
        Arc::new(Container::new(world.lxd.clone(), name, format!("build instance {name} on {}", world.host)));
    mark(spec, machine.as_ref()).await?;
    for provisioner in &spec.build.provisioners {
        progress.say(format!("running {}", provisioner.playbook.display()));
        provision(world, spec, provisioner, &machine, progress, stop.clone()).await?;
    }
    clean(spec, machine.as_ref()).await?;
    progress.say("stopping the build instance");
    world.lxd.stop(name, world.limits.stop).await?;
    publish(world, spec, name, progress).await
}

async fn build_instance(world: &World, spec: &ImageSpec, name: &str) -> Result<NewInstance, Error> {
    let fingerprint = names::ensure(world, &spec.build.image).await?;
    let mut config: Config = spec.build.launch_config.clone();
    config.insert(found::BUILD.to_owned(), spec.build.alias.clone());
    config.insert(found::OWNER.to_owned(), spec.owner.clone());
    config.entry("security.syscalls.deny".to_owned()).or_insert_with(|| NO_SYNC.to_owned());
    Ok(NewInstance {
        name: name.to_owned(),
        source: ImageSource::Fingerprint(fingerprint),
        virtual_machine: false,
        profiles: vec![spec.build.profile.clone().unwrap_or_else(|| "default".to_owned())],
        config,
        devices: Devices::new(),
        ephemeral: false,
        description: format!("builds {}", spec.build.alias),
    })
}

async fn provision(
    world: &World,
    spec: &ImageSpec,
    provisioner: &Provisioner,
    machine: &Arc<dyn Machine>,
    progress: &Progress,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let failed =
        |source| Error::Provision { alias: spec.build.alias.clone(), playbook: provisioner.playbook.clone(), source };
    let mut extra_vars = Map::new();
    for text in &provisioner.extra_vars {
        extra_vars.extend(
            playbook::extra_vars(text, &world.reading)
                .map_err(|problem| failed(playbook::Error::Problems(vec![problem])))?,
        );
    }
    extra_vars.insert("packer_builder_type".to_owned(), Value::from("lxd"));
    let inventory = vec![Source::File(provisioner.inventory.clone())];
    let request = playbook::Request {
        extra_vars,
        reading: world.reading.clone(),
        ..playbook::Request::new(provisioner.playbook.clone(), inventory, stop)
    };
    let connect = into(machine.clone(), world.connect.clone());
    playbook::run(request, connect, &progress.of_playbook()).await.map_err(failed)?;
    Ok(())
}

/// Leads every connection to an instance to the build instance, whatever the inventory calls it.
fn into(machine: Arc<dyn Machine>, other: Connect) -> Connect {
    Arc::new(move |connection| match connection {
        Connection::Lxd(_) | Connection::Incus(_) => {
            let machine = machine.clone();
            Box::pin(async move { Ok(machine) })
        }
        connection => other(connection),
    })
}

/// Tells the modules that this machine is there only to become an image.
async fn mark(spec: &ImageSpec, machine: &dyn Machine) -> Result<(), Error> {
    script(spec, machine, &format!("mkdir -p /var/lib/ryo && : > {IMAGE_BUILD}")).await
}

/// Takes away what belongs to this one machine: the agent, and the machine's number, without which two instances of one
/// image would ask for one address.
async fn clean(spec: &ImageSpec, machine: &dyn Machine) -> Result<(), Error> {
    script(spec, machine, "rm -rf /var/lib/ryo && if [ -s /etc/machine-id ]; then : > /etc/machine-id; fi").await
}

async fn script(spec: &ImageSpec, machine: &dyn Machine, script: &str) -> Result<(), Error> {
    let ended = machine::run(machine, &Command::new(["sh", "-c", script]), &[]).await?;
    if ended.status == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(Error::Script { alias: spec.build.alias.clone(), said })
}

/// Says in steps of ten percent how far the publishing is.
struct Meter {
    progress: Progress,
    told: AtomicU8,
}

impl Meter {
    fn tell(&self, percent: Option<u8>) {
        let Some(tenths) = percent.map(|percent| percent / 10) else { return };
        if self.told.fetch_max(tenths, Ordering::Relaxed) < tenths {
            self.progress.percent("publishing", tenths * 10);
        }
    }
}

/// The properties by which we know an image of ours that was made from `inputs`.
pub fn labels(spec: &ImageSpec, inputs: &str) -> Config {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Config::from([
        label(found::INPUTS, inputs),
        label(found::IMAGE_OWNER, &spec.owner),
        label(found::IMAGE_KIND, &spec.build.alias_prefix),
        label(found::IMAGE_VERSION, &spec.version),
    ])
}

async fn publish(world: &World, spec: &ImageSpec, name: &str, progress: &Progress) -> Result<String, Error> {
    progress.say(format!("publishing {}", spec.build.alias));
    let mut properties = spec.build.properties.clone();
    properties.extend(labels(spec, &spec.sources.after()?.digest()));
    let meter = Meter { progress: progress.clone(), told: AtomicU8::new(0) };
    let lxd = world.lxd.with_progress(move |report| meter.tell(report.percent));
    let fingerprint = lxd.publish(&Publish { instance: name.to_owned(), properties }).await?;
    self::name(world, spec, &fingerprint).await?;
    Ok(fingerprint)
}

async fn name(world: &World, spec: &ImageSpec, fingerprint: &str) -> Result<(), Error> {
    let description = spec.build.properties.get("description").map_or("", String::as_str);
    Ok(world.lxd.set_alias(&spec.build.alias, fingerprint, description).await?)
}
