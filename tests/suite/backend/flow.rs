//! What the flow does around a program that builds images.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ryo::backend::program::Error;
use ryo::backend::{Build, ImageBuild, Programs};
use ryo::event::Events;
use ryo::failure::Failure;
use ryo::flow::world::World;
use ryo::flow::{apply, session};
use ryo::lxd::Client;
use ryo::lxd::image::Publish;
use ryo::lxd::instance::{ImageSource, NewInstance};
use ryo::lxd::model::{Config, Devices};
use tokio::sync::watch;

use crate::support::stage::Stage;

/// Builds as Packer does, or only says so.
struct Builder {
    lxd: Client,
    builds: bool,
}

fn instance() -> NewInstance {
    NewInstance {
        name: "packer-lxd-build".to_owned(),
        source: ImageSource::Alias("tiny".to_owned()),
        virtual_machine: false,
        profiles: vec!["build".to_owned()],
        config: Config::new(),
        devices: Devices::new(),
        ephemeral: false,
        description: String::new(),
    }
}

impl Build for Builder {
    fn build<'a>(&'a self, image: &'a ImageBuild, _: &'a Events) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if self.builds {
                let name = image.template.file_name().unwrap().to_string_lossy().replace(".pkr.hcl", "");
                let owner = image.template.ancestors().nth(2).unwrap().file_name().unwrap().to_string_lossy();
                let version = &image.variables["version"];
                self.lxd.create(&instance()).await.unwrap();
                let description = format!("tiny image for {name} - v {version}");
                let properties = [("description", description.as_str()), ("os", "tiny"), ("release", "1")];
                let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
                let instance = instance().name;
                let fingerprint = self.lxd.publish(&Publish { instance: instance.clone(), properties }).await.unwrap();
                self.lxd.set_alias(&format!("{owner}-{name}-{version}"), &fingerprint, "").await.unwrap();
                self.lxd.delete(&instance).await.unwrap();
            }
            Ok(())
        })
    }
}

/// Deploys with images that a program builds; an error as a person reads it.
async fn deploy(stage: &Stage, builds: bool, prepare: impl AsyncFnOnce(&mut World)) -> Result<(), String> {
    let mut world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let builder = Arc::new(Builder { lxd: world.lxd.clone(), builds });
    let programs = Programs { build: Some(builder), ..Programs::default() };
    world.programs = ["ryo-tiny-store", "ryo-tiny"].map(|owner| (owner.to_owned(), programs.clone())).into();
    prepare(&mut world).await;
    let (_sender, stop) = watch::channel(false);
    let events = Events::nowhere();
    let planned = session::plan(&world, &stage.wanted(), &events, &stop).await.unwrap();
    apply::apply(&world, &planned.plan, &events, &stop).await.map_err(|error| Failure::from(error).text())
}

async fn nothing(_: &mut World) {}

/// The images of the tiny project, by name: properties, and what the name says of itself.
async fn images(stage: &Stage) -> BTreeMap<String, (BTreeMap<String, String>, String)> {
    let world = stage.world(stage.lxd.clone(), stage.consul.clone()).await;
    let images = world.lxd.images().await.unwrap().into_iter().filter(|image| !image.aliases.is_empty());
    let named = images.map(|image| {
        let alias = image.aliases[0].clone();
        (alias.name, (image.properties, alias.description))
    });
    named.filter(|(name, _)| name.starts_with("ryo-tiny")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_a_program_builds_is_known_like_one_of_ours() {
    let (stage, native) = (Stage::new(), Stage::new());
    native.deploys().await;
    deploy(&stage, true, nothing).await.unwrap();
    let found = images(&stage).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found, images(&native).await);
    assert_eq!(stage.plan().await.text(), "deploy ryo-tiny 1 on local: nothing to do\n");
}

const STEP: &str = "error: step 3 of 10 failed: ryo-tiny-store: build image ryo-tiny-store-store-1 from";
const AGAIN: &str = "hint: run the same command again: what is done is found done\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_a_program_from_building_is_told() {
    assert_eq!(
        deploy(&Stage::new(), false, nothing).await.unwrap_err(),
        format!(
            "{STEP} tiny (there is none)\n\
            \x20 because: the image was built, but `ryo-tiny-store-store-1` is not on the host\n\
             hint: see that `lxc` has a remote named like the host, and that the template publishes to it\n{AGAIN}"
        )
    );
    let another = async |world: &mut World| world.lxd.create(&instance()).await.unwrap();
    assert_eq!(
        deploy(&Stage::new(), true, another).await.unwrap_err(),
        format!(
            "{STEP} tiny (there is none)\n\
            \x20 because: instance `packer-lxd-build` is there already, and image `ryo-tiny-store-store-1` is to be built \
             in one of that name\n\
             hint: see that nobody builds in it, and remove it: `lxc delete --force packer-lxd-build`\n{AGAIN}"
        )
    );
    let rewritten = async |world: &mut World| {
        let tiny = world.lxd.alias("tiny").await.unwrap().unwrap().target;
        world.lxd.set_alias("other", &tiny, "").await.unwrap();
        world.names.rewrites.insert("tiny".to_owned(), "other".to_owned());
    };
    assert_eq!(
        deploy(&Stage::new(), true, rewritten).await.unwrap_err(),
        format!(
            "{STEP} other (there is none)\n\
            \x20 because: image `ryo-tiny-store-store-1` is to be built from `other` instead of `tiny`, which only ryo \
             itself can do\n\
             hint: name the base image in the template, or let ryo build the image\n{AGAIN}"
        )
    );
}
