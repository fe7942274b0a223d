//! Planning a deployment: pure, ordered, empty when all is well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ryo::flow::database::{Seen, State, identity};
use ryo::flow::deploy::{Unit, forbidden, obstacles, plan};
use ryo::flow::found::{self, Found, HostSetup, Pending};
use ryo::flow::inputs::Inputs;
use ryo::packer::Build;
use ryo::place::Place;
use ryo::plan::{Action, ImageSpec, Plan};
use ryo::project;
use ryo::project::access::{Reach, Writes};
use ryo::secret::Secret;
use ryo::sql::mysql::native_hash;
use ryo::terraform::database::{Engine, What};
use ryo::terraform::{
    ConsulKey, ConsulKeys, ConsulProvider, Content, DatabaseObject, DatabaseProvider, Deployment, Directories, File,
    Ignored, Instance, Kind, Lifecycle, Object, ObjectKind, Protection, Resource,
};

const BASE: &str = "ba5e000000000000";

fn map<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn image(owner: &str, service: &str, version: &str, inputs: &str) -> ImageSpec {
    ImageSpec {
        build: Build {
            place: Place::file(format!("{service}.pkr.hcl")),
            image: "debian/12".to_owned(),
            profile: None,
            alias: format!("{owner}-{service}-{version}"),
            alias_prefix: format!("{owner}-{service}"),
            properties: BTreeMap::new(),
            provisioners: vec![],
            launch_config: BTreeMap::new(),
            instance: "packer-lxd-build".to_owned(),
            source: None,
            variables: BTreeMap::new(),
        },
        base: "debian/12".to_owned(),
        owner: owner.to_owned(),
        version: version.to_owned(),
        inputs: inputs.to_owned(),
        sources: Inputs::default(),
    }
}

fn instance(name: &str, image: &str) -> Resource {
    let nic = map([("type", "nic"), ("network", "local"), ("ipv4.address", "10.10.1.20")]);
    Resource {
        address: format!("lxd_container.{name}"),
        place: Place::file("main.tf"),
        depends_on: vec![],
        lifecycle: Lifecycle::default(),
        kind: Kind::Instance(Instance {
            name: name.to_owned(),
            image: image.to_owned(),
            profiles: vec!["default".to_owned()],
            config: map([("user.user-data", "#cloud-config\n"), ("security.privileged", "false")]),
            devices: [("eth0".to_owned(), nic)].into(),
            running: true,
            ..Instance::default()
        }),
    }
}

fn keys<const N: usize>(name: &str, entries: [(&str, &str); N]) -> Resource {
    let keys = entries.into_iter().map(|(path, value)| ConsulKey {
        path: path.to_owned(),
        value: value.to_owned(),
        delete: true,
    });
    Resource {
        address: format!("consul_keys.{name}"),
        place: Place::file("main.tf"),
        depends_on: vec![],
        lifecycle: Lifecycle::default(),
        kind: Kind::ConsulKeys(ConsulKeys { keys: keys.collect(), ..ConsulKeys::default() }),
    }
}

fn consul() -> ConsulProvider {
    ConsulProvider {
        address: "[fd10:10:10:1::1:1]:8500".to_owned(),
        scheme: "http".to_owned(),
        token: None,
        datacenter: Some("local".to_owned()),
        place: Place::file("main.tf"),
    }
}

fn proxy(version: &str) -> Unit {
    Unit {
        owner: "ryo-web-proxy".to_owned(),
        kind: project::Kind::Module,
        version: version.to_owned(),
        host_setup: Some((PathBuf::from("ryo-web-proxy/host-setup/main.yml"), "setup-1".to_owned())),
        images: vec![image("ryo-web-proxy", "web-proxy", version, "inputs-proxy")],
        deployment: Deployment {
            resources: vec![instance("web-proxy", &format!("ryo-web-proxy-web-proxy-{version}"))],
            ..Deployment::default()
        },
        directory: PathBuf::from("ryo-web-proxy/module-deployment"),
        writes: Writes::default(),
    }
}

fn hello(version: &str) -> Unit {
    Unit {
        owner: "ryo-hello".to_owned(),
        kind: project::Kind::Project,
        version: version.to_owned(),
        host_setup: Some((PathBuf::from("ryo-hello/host-setup/main.yml"), "setup-2".to_owned())),
        images: vec![image("ryo-hello", "hello", version, "inputs-hello")],
        deployment: Deployment {
            resources: vec![
                keys("domain", [("service/domain/hello", "admin@example.org")]),
                instance("hello", &format!("ryo-hello-hello-{version}")),
                keys("backend", [("service/backends/hello", "")]),
                keys("acl", [("service/acl/hello/host", "hello.example.org")]),
            ],
            consul: Some(consul()),
            ..Deployment::default()
        },
        directory: PathBuf::from("ryo-hello/project-deployment"),
        writes: Writes::default(),
    }
}

fn units() -> Vec<Unit> {
    vec![proxy("1"), hello("1")]
}

fn empty_host() -> Found {
    Found { bases: map([("debian/12", BASE)]), ..Found::default() }
}

/// Carries a plan out on the values, as a host would.
fn carry_out(plan: &Plan, found: &mut Found) {
    for step in &plan.steps {
        match &step.action {
            Action::RemoveBuild(name)
            | Action::RemoveUnfinished(name)
            | Action::RemoveReplaced(name)
            | Action::RemoveInstance(name) => {
                found.instances.remove(name).expect("it is there");
            }
            Action::PutBack(name) => put_back(found, name),
            Action::Resume(names) => {
                for name in names {
                    let instance = found.instances.get_mut(name).expect("it is there");
                    instance.config.remove(found::PAUSED);
                    instance.running = true;
                }
            }
            Action::Copy { .. }
            | Action::Pause(_)
            | Action::Freeze(_)
            | Action::Snapshot(_)
            | Action::Archive(_)
            | Action::Unpack(_)
            | Action::Change { .. }
            | Action::Deploy { .. }
            | Action::Prove(_) => unreachable!("no deployment does that"),
            Action::HostSetup { inputs, .. } => {
                let state = HostSetup { recorded: Some(inputs.clone()), pending: Pending::Nothing };
                found.host_setup.insert(step.owner.clone(), state);
            }
            Action::BuildImage { spec, .. } => build(found, spec),
            Action::TagImage { alias, fingerprint, .. } => {
                for image in &mut found.images {
                    image.aliases.retain(|name| name != alias);
                    if image.fingerprint == *fingerprint {
                        image.aliases.push(alias.clone());
                    }
                }
            }
            Action::AdoptImage { spec, fingerprint } => {
                let mut images = found.images.iter_mut();
                let image = images.find(|image| image.fingerprint == *fingerprint).expect("it is there");
                image.properties.insert(found::INPUTS.to_owned(), spec.inputs.clone());
            }
            Action::AdoptInstance(spec) => {
                let instance = found.instances.get_mut(&spec.instance.name).expect("it is there");
                instance.config.insert(found::OWNER.to_owned(), spec.owner.clone());
            }
            Action::RemoveImage { fingerprint, .. } => {
                found.images.retain(|image| image.fingerprint != *fingerprint);
            }
            Action::CreateInstance(spec) | Action::ReplaceInstance { spec, .. } => {
                if let Action::ReplaceInstance { replaced, .. } = &step.action {
                    found.instances.remove(replaced).expect("it is there");
                }
                let image = found.image(&spec.instance.image).expect("the image stands before the instance");
                let mut config = spec.instance.config.clone();
                config.insert("volatile.base_image".to_owned(), image.fingerprint.clone());
                config.insert(found::IMAGE_NAME.to_owned(), spec.instance.image.clone());
                config.insert(found::OWNER.to_owned(), spec.owner.clone());
                let writes = (!spec.writes.is_empty()).then(|| spec.writes.to_string());
                config.extend(writes.map(|writes| (found::WRITES.to_owned(), writes)));
                let made = found::Instance {
                    name: spec.instance.name.clone(),
                    running: true,
                    profiles: spec.instance.profiles.clone(),
                    config,
                    devices: spec.instance.devices.clone(),
                };
                found.instances.insert(made.name.clone(), made);
            }
            Action::UpdateInstance(update) => {
                let instance = found.instances.get_mut(&update.spec.instance.name).expect("it is there");
                instance.devices.clone_from(&update.spec.instance.devices);
                instance.profiles.clone_from(&update.spec.instance.profiles);
                instance.config.retain(|key, _| key.starts_with("volatile.") || key.starts_with("user.ryo."));
                instance.config.extend(update.spec.instance.config.clone());
                instance.config.insert(found::OWNER.to_owned(), update.spec.owner.clone());
                instance.config.remove(found::UNPROVEN);
                instance.running = update.spec.instance.running;
            }
            Action::StartInstance(spec) => {
                found.instances.get_mut(&spec.instance.name).expect("it is there").running = true;
            }
            Action::StopInstance(name) => found.instances.get_mut(name).expect("it is there").running = false,
            Action::SettleInstance(spec) => {
                let name = spec.instance.name.as_str();
                let instance = found.instances.get_mut(name).expect("it is there");
                instance.running = true;
                instance.config.remove(found::UNPROVEN);
                found.instances.retain(|_, instance| instance.config(found::REPLACED) != Some(name));
            }
            Action::Keys { set, delete, owned, .. } => {
                found.keys.extend(set.clone());
                found.keys.retain(|key, _| !delete.contains(key));
                found.owned.insert(step.owner.clone(), owned.clone());
            }
            Action::CreateObject(object) | Action::UpdateObject { object, .. } => {
                let mut config = object.config.clone();
                let keys: Vec<&str> = object.config.keys().map(String::as_str).collect();
                config.extend(map([("user.ryo.project", &step.owner), ("user.ryo.keys", &keys.join(","))]));
                let made = ryo::flow::object::Found {
                    description: object.description.clone().unwrap_or_default(),
                    form: object.form.clone().unwrap_or_default(),
                    config,
                    devices: object.devices.clone(),
                };
                found.objects.insert((object.kind.clone(), object.name.clone()), made);
            }
            Action::RemoveObject { kind, name } => {
                found.objects.remove(&(kind.clone(), name.clone())).expect("it is there");
            }
            Action::PutFile(file) => {
                found.files.insert((file.instance.clone(), file.path.clone()));
            }
            Action::FetchImage { aliases, .. } => {
                found.images.push(found::Image { aliases: aliases.clone(), ..found::Image::default() });
            }
            Action::Database { server, object, .. } => {
                let state = State {
                    properties: object.properties.clone(),
                    password: object.password.as_ref().map(|it| Secret::new(native_hash(it.reveal()))),
                    comparable: true,
                };
                found.databases.insert(identity(server, object), Seen::Present(state));
            }
            Action::OwnDatabases { owned, .. } => {
                found.owned_databases.insert(step.owner.clone(), owned.clone());
            }
            Action::Record { .. } => {
                found.recorded.insert(step.owner.clone());
            }
        }
    }
}

fn put_back(found: &mut Found, name: &str) {
    let old = found.instances.values().find(|it| it.was() == Some(name)).cloned().expect("an old one");
    found.instances.remove(old.config(found::REPLACED).expect("who replaces it"));
    found.instances.remove(&old.name);
    let devices = serde_json::from_str(old.config(found::DEVICES).expect("its devices")).expect("JSON");
    let mut config = old.config;
    config.remove(found::REPLACED);
    config.remove(found::WAS);
    config.remove(found::DEVICES);
    found
        .instances
        .insert(name.to_owned(), found::Instance { name: name.to_owned(), running: true, devices, config, ..old });
}

fn build(found: &mut Found, spec: &ImageSpec) {
    for image in &mut found.images {
        image.aliases.retain(|name| *name != spec.build.alias);
    }
    found.images.push(found::Image {
        fingerprint: format!("f-{}-{}", spec.inputs, found.images.len()),
        aliases: vec![spec.build.alias.clone()],
        properties: map([(found::INPUTS, &spec.inputs), (found::IMAGE_OWNER, &spec.owner)]),
        ..found::Image::default()
    });
}

fn deployed() -> Found {
    let mut found = empty_host();
    carry_out(&plan("", &units(), &found), &mut found);
    found
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_host_gets_everything_with_images_first_and_modules_before_projects() {
    let plan = plan("deploy ryo-hello 1 on local", &units(), &empty_host());
    assert_eq!(
        plan.text(),
        "deploy ryo-hello 1 on local:\n\
         \x20 ~ ryo-web-proxy: set up the host (first time)\n\
         \x20 ~ ryo-hello: set up the host (first time)\n\
         \x20 + ryo-web-proxy: build image ryo-web-proxy-web-proxy-1 from debian/12 (there is none)\n\
         \x20 + ryo-hello: build image ryo-hello-hello-1 from debian/12 (there is none)\n\
         \x20 + ryo-web-proxy: create instance web-proxy from ryo-web-proxy-web-proxy-1\n\
         \x20     device eth0: nic, ipv4.address 10.10.1.20, network local\n\
         \x20 + ryo-web-proxy: enter the module in the list of deployed modules\n\
         \x20 ~ ryo-hello: write 1 Consul key\n\
         \x20     set service/domain/hello\n\
         \x20 + ryo-hello: create instance hello from ryo-hello-hello-1\n\
         \x20     device eth0: nic, ipv4.address 10.10.1.20, network local\n\
         \x20 ~ ryo-hello: write 2 Consul keys\n\
         \x20     set service/acl/hello/host\n\
         \x20     set service/backends/hello\n\
         \x20 + ryo-hello: enter the project in the list of deployed projects\n\
         10 steps\n"
    );
}

#[test]
fn a_plan_that_was_carried_out_is_followed_by_an_empty_one() {
    let plan = plan("deploy ryo-hello 1 on local", &units(), &deployed());
    assert_eq!(plan.text(), "deploy ryo-hello 1 on local: nothing to do\n");
}

#[test]
fn a_changed_template_changes_one_image_and_one_instance() {
    let mut units = units();
    units[1].images[0].inputs = "inputs-hello-2".to_owned();
    let found = deployed();
    let plan = plan("", &units, &found);
    assert_eq!(
        lines(&plan),
        [
            "ryo-hello: build image ryo-hello-hello-1 from debian/12 (what it is made from has changed)",
            "ryo-hello: replace instance hello by one from ryo-hello-hello-1",
        ]
    );
    assert_eq!(plan.steps[1].action.details(), ["its image is built anew"]);
    assert_eq!(
        plan.steps[1].action.destroys().as_deref(),
        Some("the present instance `hello` with everything in it that is not on a mounted host directory")
    );
}

#[test]
fn another_version_of_the_same_inputs_only_names_the_images() {
    let plan = plan("", &[proxy("2"), hello("2")], &deployed());
    assert_eq!(
        lines(&plan),
        [
            "ryo-web-proxy: call image f-inputs-pro also ryo-web-proxy-web-proxy-2",
            "ryo-hello: call image f-inputs-hel also ryo-hello-hello-2",
        ]
    );
}

#[test]
fn an_image_of_the_original_tools_is_taken_over_as_it_is() {
    let mut found = deployed();
    for image in &mut found.images {
        image.properties.clear();
    }
    let plan = plan("", &units(), &found);
    assert_eq!(
        lines(&plan),
        [
            "ryo-web-proxy: take image ryo-web-proxy-web-proxy-1 over as made from the present files",
            "ryo-hello: take image ryo-hello-hello-1 over as made from the present files",
        ]
    );
    carry_out(&plan, &mut found);
    assert_eq!(lines(&self::plan("", &units(), &found)), Vec::<String>::new());
}

#[test]
fn a_changed_device_is_changed_in_place() {
    let mut found = deployed();
    let device = found.instances.get_mut("hello").unwrap().devices.get_mut("eth0").unwrap();
    device.insert("ipv4.address".to_owned(), "10.10.1.21".to_owned());
    let plan = plan("", &units(), &found);
    assert_eq!(lines(&plan), ["ryo-hello: change instance hello in place"]);
    assert_eq!(
        plan.steps[0].action.details(),
        ["device eth0: ipv4.address 10.10.1.21 → 10.10.1.20", "needs a restart"]
    );
}

/// What the second resource of the project, its instance, is to ignore.
fn ignoring(ignored: Ignored) -> Vec<Unit> {
    let mut units = units();
    units[1].deployment.resources[1].lifecycle.ignored = ignored;
    units
}

fn these(names: &[(&str, Option<&str>)]) -> Ignored {
    Ignored::These(names.iter().map(|(name, key)| ((*name).to_owned(), key.map(str::to_owned))).collect())
}

#[test]
fn what_is_to_be_ignored_stays_as_it_is() {
    let mut found = deployed();
    let instance = found.instances.get_mut("hello").unwrap();
    instance.devices.get_mut("eth0").unwrap().insert("ipv4.address".to_owned(), "10.10.1.21".to_owned());
    instance.config.insert("limits.cpu".to_owned(), "1".to_owned());
    instance.config.insert("user.user-data".to_owned(), "#cloud-config\nother: yes\n".to_owned());
    instance.config.insert("volatile.base_image".to_owned(), "another".to_owned());
    instance.profiles.push("more".to_owned());
    let planned = |ignored: Ignored| {
        let plan = plan("", &ignoring(ignored), &found);
        plan.steps.iter().map(|step| (step.to_string(), step.action.details())).collect::<Vec<_>>()
    };
    assert_eq!(planned(Ignored::All), []);
    let most = [("device", None), ("config", None), ("image", None), ("profiles", None)];
    assert_eq!(planned(these(&most)), []);
    assert_eq!(
        planned(these(&[("device", None), ("config", Some("user.user-data")), ("image", None)])),
        [(
            "ryo-hello: change instance hello in place".to_owned(),
            vec!["config limits.cpu: 1 → not set".to_owned(), "profiles: default, more → default".to_owned()]
        )]
    );
    assert_eq!(
        planned(these(&[("device", None), ("limits", Some("cpu")), ("image", None), ("profiles", None)])),
        [(
            "ryo-hello: replace instance hello by one from ryo-hello-hello-1".to_owned(),
            vec!["config user.user-data differs".to_owned()]
        )]
    );
}

/// A change in place writes what is ignored as it was found, and a replacement what is wanted.
#[test]
fn what_is_ignored_is_kept_by_a_change_in_place() {
    let mut found = deployed();
    let instance = found.instances.get_mut("hello").unwrap();
    instance.config.insert("limits.cpu".to_owned(), "1".to_owned());
    instance.profiles.push("more".to_owned());
    let plan = plan("", &ignoring(these(&[("config", None)])), &found);
    let Action::UpdateInstance(update) = &plan.steps[0].action else { panic!("no change") };
    assert_eq!(update.spec.instance.config["limits.cpu"], "1");
    assert_eq!(update.spec.instance.profiles, ["default"]);
}

#[test]
fn a_plan_that_destroys_what_is_protected_is_forbidden() {
    let mut units = units();
    units[1].deployment.resources[1].lifecycle.protection = Protection::Destroy;
    let mut found = deployed();
    assert_eq!(forbidden(&plan("", &units, &found), &units), []);
    found.instances.get_mut("hello").unwrap().config.insert("user.user-data".to_owned(), "x".to_owned());
    let told: Vec<String> = forbidden(&plan("", &units, &found), &units).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["main.tf: the instance `hello` would have to be replaced (config user.user-data differs), which \
          `prevent_destroy` forbids (take `prevent_destroy` out for this one deployment)"]
    );
}

#[test]
fn an_instance_is_replaced_with_what_it_is_to_be_replaced_with() {
    let with = |digest: &str| {
        let mut units = units();
        let Kind::Instance(instance) = &mut units[1].deployment.resources[1].kind else { panic!("no instance") };
        instance.config.insert("user.ryo.triggers".to_owned(), digest.to_owned());
        units
    };
    let mut found = deployed();
    let first = plan("", &with("1"), &found);
    assert_eq!(first.steps[0].action.details(), ["notes what it is to be replaced with"]);
    carry_out(&first, &mut found);
    assert_eq!(lines(&plan("", &with("1"), &found)), Vec::<String>::new());
    let second = plan("", &with("2"), &found);
    assert_eq!(
        second.steps[0].action.details(),
        ["what it is to be replaced with has changed (`replace_triggered_by`)"]
    );
}

#[test]
fn what_is_sensitive_is_not_shown() {
    let mut units = units();
    let Kind::Instance(instance) = &mut units[1].deployment.resources[1].kind else { panic!("no instance") };
    instance.hidden = ["config limits.cpu".to_owned(), "device eth0: ipv4.address".to_owned()].into();
    let mut found = deployed();
    let instance = found.instances.get_mut("hello").unwrap();
    instance.devices.get_mut("eth0").unwrap().insert("ipv4.address".to_owned(), "10.10.1.21".to_owned());
    instance.config.insert("limits.cpu".to_owned(), "1".to_owned());
    assert_eq!(
        plan("", &units, &found).steps[0].action.details(),
        ["config limits.cpu differs", "device eth0: ipv4.address differs", "needs a restart"]
    );
    let made = plan("", &units, &empty_host());
    let created = made.steps.iter().find(|step| step.to_string().contains("create instance hello")).unwrap();
    assert_eq!(created.action.details(), ["device eth0: nic, ipv4.address (sensitive), network local"]);
}

fn volume(config: &[(&str, &str)]) -> Resource {
    Resource {
        address: "lxd_volume.data".to_owned(),
        place: Place::file("main.tf"),
        depends_on: vec![],
        lifecycle: Lifecycle::default(),
        kind: Kind::Object(Object {
            kind: ObjectKind::Volume { pool: "default".to_owned() },
            name: "data".to_owned(),
            description: Some("Data".to_owned()),
            form: Some("filesystem".to_owned()),
            config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            first: BTreeMap::new(),
            devices: BTreeMap::new(),
            hidden: BTreeSet::new(),
        }),
    }
}

fn motd() -> Resource {
    Resource {
        address: "lxd_instance_file.motd".to_owned(),
        place: Place::file("main.tf"),
        depends_on: vec![],
        lifecycle: Lifecycle::default(),
        kind: Kind::File(File {
            instance: "hello".to_owned(),
            path: "/etc/motd".to_owned(),
            content: Content::Text(ryo::secret::Secret::new("hello".to_owned())),
            uid: 0,
            gid: 0,
            mode: 0o644,
            directories: Directories::Expect,
        }),
    }
}

/// The project with a volume in front of its instance and a file in it.
fn with_volume(config: &[(&str, &str)]) -> Vec<Unit> {
    let mut units = units();
    units[1].deployment.resources.insert(0, volume(config));
    units[1].deployment.resources.push(motd());
    units
}

#[test]
fn a_volume_is_made_changed_and_removed_with_the_files_that_name_it() {
    let mut found = empty_host();
    let first = plan("", &with_volume(&[("size", "1GiB"), ("snapshots.expiry", "1d")]), &found);
    let made: Vec<String> = lines(&first).into_iter().filter(|line| line.contains("ryo-hello: ")).collect();
    assert_eq!(
        made,
        [
            "ryo-hello: set up the host (first time)",
            "ryo-hello: build image ryo-hello-hello-1 from debian/12 (there is none)",
            "ryo-hello: create volume data in default",
            "ryo-hello: write 1 Consul key",
            "ryo-hello: create instance hello from ryo-hello-hello-1",
            "ryo-hello: write 2 Consul keys",
            "ryo-hello: write /etc/motd in instance hello",
            "ryo-hello: enter the project in the list of deployed projects",
        ]
    );
    carry_out(&first, &mut found);
    let key = (ObjectKind::Volume { pool: "default".to_owned() }, "data".to_owned());
    found.objects.get_mut(&key).unwrap().config.insert("volatile.idmap".to_owned(), "x".to_owned());
    assert_eq!(lines(&plan("", &with_volume(&[("size", "1GiB"), ("snapshots.expiry", "1d")]), &found)), NOTHING);
    let second = plan("", &with_volume(&[("size", "2GiB")]), &found);
    assert_eq!(lines(&second), ["ryo-hello: change volume data in default in place"]);
    assert_eq!(second.steps[0].action.details(), ["config size: 1GiB → 2GiB", "config snapshots.expiry: 1d → not set"]);
    carry_out(&second, &mut found);
    let third = plan("", &units(), &found);
    assert_eq!(lines(&third), ["ryo-hello: remove volume data in default, which no file names any longer"]);
    assert_eq!(third.steps[0].action.destroys().as_deref(), Some("volume data in default with everything in it"));
    carry_out(&third, &mut found);
    assert_eq!(lines(&plan("", &units(), &found)), NOTHING);
}

const NOTHING: [String; 0] = [];

#[test]
fn what_somebody_else_made_is_used_and_never_removed() {
    let mut found = deployed();
    let key = (ObjectKind::Volume { pool: "default".to_owned() }, "data".to_owned());
    let theirs = ryo::flow::object::Found {
        description: "Data".to_owned(),
        form: "filesystem".to_owned(),
        config: map([("size", "1GiB"), ("user.theirs", "1")]),
        ..ryo::flow::object::Found::default()
    };
    found.objects.insert(key.clone(), theirs);
    found.files.insert(("hello".to_owned(), "/etc/motd".to_owned()));
    assert_eq!(lines(&plan("", &with_volume(&[("size", "1GiB")]), &found)), NOTHING);
    assert_eq!(lines(&plan("", &units(), &found)), NOTHING);
    found.objects.get_mut(&key).unwrap().form = "block".to_owned();
    let told: Vec<String> = obstacles(&with_volume(&[]), &found).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "main.tf: the content type of volume data in default is `block` on the server, and cannot become `filesystem`"
        ]
    );
}

#[test]
fn a_replaced_instance_gets_its_files_again() {
    let mut found = deployed();
    let mut units = units();
    units[1].deployment.resources.push(motd());
    found.files.insert(("hello".to_owned(), "/etc/motd".to_owned()));
    assert_eq!(lines(&plan("", &units, &found)), NOTHING);
    found.instances.get_mut("hello").unwrap().config.insert("user.user-data".to_owned(), "x".to_owned());
    assert_eq!(
        lines(&plan("", &units, &found)),
        [
            "ryo-hello: replace instance hello by one from ryo-hello-hello-1",
            "ryo-hello: write /etc/motd in instance hello",
        ]
    );
}

#[test]
fn keys_that_others_put_below_a_prefix_are_removed() {
    let mut found = deployed();
    let mut units = units();
    let prefixed = |path: &str| ConsulKey { path: path.to_owned(), value: "1".to_owned(), delete: true };
    let mut resource = keys("app", []);
    resource.kind = Kind::ConsulKeys(ConsulKeys {
        keys: vec![prefixed("app/a")],
        prefix: Some("app/".to_owned()),
        ..ConsulKeys::default()
    });
    units[1].deployment.resources.push(resource);
    found.keys.extend(map([("app/theirs", "x"), ("application", "y")]));
    let plan = plan("", &units, &found);
    assert_eq!(lines(&plan), ["ryo-hello: write 1 Consul key, remove 1"]);
    assert_eq!(plan.steps[0].action.details(), ["set app/a", "delete app/theirs"]);
}

#[test]
fn what_keys_held_is_known_where_an_instance_waits_for_them_and_nobody_else_has_them() {
    let mut found = deployed();
    let mut units = units();
    units[1].deployment.resources.insert(0, keys("app", [("app/new", "1"), ("app/other", "1"), ("app/theirs", "1")]));
    found.keys.extend(map([("app/other", "0"), ("app/theirs", "0")]));
    found.owned.entry("ryo-web-proxy".to_owned()).or_default().insert("app/theirs".to_owned());
    found.instances.get_mut("hello").unwrap().config.insert("user.user-data".to_owned(), "other".to_owned());
    let owned = found.owned.get("ryo-hello").cloned().unwrap_or_default();
    let plan = plan("", &units, &found);
    let Action::Keys { before: Some(before), .. } = &plan.steps[0].action else { panic!("{:?}", plan.steps[0]) };
    let names: Vec<&str> = before.keys.iter().map(String::as_str).collect();
    assert_eq!((names.as_slice(), &before.values), (&["app/new", "app/other"][..], &map([("app/other", "0")])));
    assert_eq!(before.owned, owned);
}

#[test]
fn a_limit_that_somebody_set_is_taken_back_without_a_restart() {
    let mut found = deployed();
    found.instances.get_mut("hello").unwrap().config.insert("limits.cpu".to_owned(), "1".to_owned());
    let plan = plan("", &units(), &found);
    assert_eq!(plan.steps[0].action.details(), ["config limits.cpu: 1 → not set"]);
}

#[test]
fn other_user_data_takes_another_instance_and_is_not_shown() {
    let mut found = deployed();
    found.instances.get_mut("hello").unwrap().config.insert("user.user-data".to_owned(), "password".to_owned());
    let plan = plan("", &units(), &found);
    assert_eq!(lines(&plan), ["ryo-hello: replace instance hello by one from ryo-hello-hello-1"]);
    assert_eq!(plan.steps[0].action.details(), ["config user.user-data differs"]);
}

#[test]
fn a_stopped_instance_is_started() {
    let mut found = deployed();
    found.instances.get_mut("web-proxy").unwrap().running = false;
    assert_eq!(lines(&plan("", &units(), &found)), ["ryo-web-proxy: start instance web-proxy"]);
}

#[test]
fn an_instance_that_was_never_seen_healthy_is_waited_for() {
    let mut found = deployed();
    found.instances.get_mut("hello").unwrap().config.insert(found::UNPROVEN.to_owned(), "yes".to_owned());
    let plan_of_state = plan("", &units(), &found);
    assert_eq!(lines(&plan_of_state), ["ryo-hello: see instance hello become healthy"]);
    carry_out(&plan_of_state, &mut found);
    assert!(plan("", &units(), &found).steps.is_empty());
}

#[test]
fn a_missing_key_with_an_empty_value_is_written_again() {
    let mut found = deployed();
    found.keys.remove("service/backends/hello");
    let plan = plan("", &units(), &found);
    assert_eq!(lines(&plan), ["ryo-hello: write 1 Consul key"]);
    assert_eq!(plan.steps[0].action.details(), ["set service/backends/hello"]);
}

#[test]
fn a_key_that_is_no_longer_wanted_goes_unless_somebody_else_has_it() {
    let mut units = units();
    units[1].deployment.resources.pop();
    let mut found = deployed();
    let plan_alone = plan("", &units, &found);
    assert_eq!(plan_alone.steps[0].action.details(), ["delete service/acl/hello/host"]);
    found.owned.insert("ryo-other".to_owned(), BTreeSet::from(["service/acl/hello/host".to_owned()]));
    let plan_shared = plan("", &units, &found);
    assert_eq!(plan_shared.steps[0].action.details(), Vec::<String>::new());
    carry_out(&plan_shared, &mut found);
    assert!(found.keys.contains_key("service/acl/hello/host"));
    assert!(plan("", &units, &found).steps.is_empty());
}

#[test]
fn an_instance_that_no_file_names_any_longer_goes_and_one_of_somebody_else_stays() {
    let mut found = deployed();
    let mut ours = found.instances["hello"].clone();
    ours.name = "hello-before".to_owned();
    let stranger = found::Instance { name: "stranger".to_owned(), ..found::Instance::default() };
    found.instances.insert(ours.name.clone(), ours);
    found.instances.insert(stranger.name.clone(), stranger);
    assert_eq!(
        lines(&plan("", &units(), &found)),
        ["ryo-hello: remove instance hello-before, which no file names any longer"]
    );
}

#[test]
fn a_host_setup_runs_again_when_its_files_or_the_host_have_changed() {
    let cases = [
        (Some("setup-0"), Pending::Nothing, "ryo-hello: set up the host (its files have changed)"),
        (Some("setup-2"), Pending::Changes(1), "ryo-hello: set up the host (1 task would change something)"),
        (Some("setup-2"), Pending::Changes(3), "ryo-hello: set up the host (3 tasks would change something)"),
        (Some("setup-2"), Pending::Unknown, "ryo-hello: set up the host (the host has changed)"),
    ];
    for (recorded, pending, expected) in cases {
        let mut found = deployed();
        let state = HostSetup { recorded: recorded.map(str::to_owned), pending };
        found.host_setup.insert("ryo-hello".to_owned(), state);
        assert_eq!(lines(&plan("", &units(), &found)), [expected]);
    }
}

/// `new` as it stands beside the one whose place it takes, to be called `name`.
fn unfinished(new: &found::Instance, name: &str) -> found::Instance {
    let mut unfinished = found::Instance { running: false, devices: BTreeMap::new(), ..new.clone() };
    unfinished.config.insert(found::REPLACES.to_owned(), name.to_owned());
    unfinished
}

/// `old`, set aside for the one that is to be called `successor`.
fn set_aside(old: &found::Instance, successor: &str) -> found::Instance {
    let mut aside = found::Instance { running: false, devices: BTreeMap::new(), ..old.clone() };
    aside.config.insert(found::REPLACED.to_owned(), successor.to_owned());
    if old.name != successor {
        aside.config.insert(found::WAS.to_owned(), old.name.clone());
    }
    aside.config.insert(found::DEVICES.to_owned(), serde_json::to_string(&old.devices).unwrap());
    aside
}

/// The states that a replacement of `hello` goes through, as a broken run leaves them.
fn broken_replacements() -> Vec<(&'static str, Found, Vec<&'static str>)> {
    let before = deployed();
    let old = before.instances["hello"].clone();
    let unfinished = found::Instance { name: "hello-ryo-new".to_owned(), ..unfinished(&old, "hello") };
    let aside = set_aside(&old, "hello");
    let aside_renamed = found::Instance { name: "hello-ryo-old".to_owned(), ..aside.clone() };
    let renamed = found::Instance { name: "hello".to_owned(), ..unfinished.clone() };
    let stopped = found::Instance { running: false, ..old.clone() };
    let with = |instances: &[&found::Instance]| {
        let mut found = before.clone();
        found.instances.remove("hello");
        for instance in instances {
            found.instances.insert(instance.name.clone(), (*instance).clone());
        }
        found
    };
    let remove = "ryo-hello: remove the unfinished instance hello-ryo-new";
    let back = "ryo-hello: put instance hello back under its name";
    vec![
        ("the new one was made", with(&[&old, &unfinished]), vec![remove]),
        ("the old one was stopped", with(&[&stopped, &unfinished]), vec![remove, "ryo-hello: start instance hello"]),
        ("the old one gave its devices away", with(&[&aside, &unfinished]), vec![remove, back]),
        ("the old one gave its name away", with(&[&aside_renamed, &unfinished]), vec![remove, back]),
        ("the new one took the name", with(&[&aside_renamed, &renamed]), vec![back]),
        (
            "the new one took the devices",
            with(&[&aside_renamed, &stopped]),
            vec!["ryo-hello: see instance hello become healthy"],
        ),
        (
            "the new one was started",
            with(&[&aside_renamed, &old]),
            vec!["ryo-hello: see instance hello become healthy"],
        ),
    ]
}

#[test]
fn a_broken_replacement_is_mended_from_every_state() {
    for (state, mut found, expected) in broken_replacements() {
        let plan_of_state = plan("", &units(), &found);
        assert_eq!(lines(&plan_of_state), expected, "{state}");
        carry_out(&plan_of_state, &mut found);
        assert_eq!(found.instances.keys().collect::<Vec<_>>(), ["hello", "web-proxy"], "{state}");
        assert!(plan("", &units(), &found).steps.is_empty(), "{state}");
    }
}

/// The hello project whose instance is called otherwise, at the address that it had.
fn renamed() -> (Found, Vec<Unit>) {
    let mut units = units();
    let Kind::Instance(instance) = &mut units[1].deployment.resources[1].kind else { panic!("no instance") };
    "greeter".clone_into(&mut instance.name);
    (deployed(), units)
}

#[test]
fn an_instance_that_is_called_otherwise_takes_the_place_of_the_one_before() {
    let (mut found, units) = renamed();
    let moved = plan("", &units, &found);
    assert_eq!(lines(&moved), ["ryo-hello: replace instance hello by greeter from ryo-hello-hello-1"]);
    assert_eq!(
        moved.steps[0].action.details(),
        ["no file names instance hello any longer, and both have the address 10.10.1.20"]
    );
    assert_eq!(
        moved.steps[0].action.destroys().as_deref(),
        Some("the present instance `hello` with everything in it that is not on a mounted host directory")
    );
    carry_out(&moved, &mut found);
    assert!(plan("", &units, &found).steps.is_empty());
}

#[test]
fn what_one_instance_has_after_the_other_is_known() {
    let device = |properties: &[(&str, &str)]| {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        properties.iter().map(own).collect::<BTreeMap<String, String>>()
    };
    let disk = [("type", "disk"), ("path", "/data"), ("source", "/var/containers/hello")];
    let cases = [
        (device(&[("type", "proxy"), ("listen", "tcp:0.0.0.0:80")]), Some("the proxy for tcp:0.0.0.0:80")),
        (device(&disk), Some("/var/containers/hello")),
        (device(&[&disk[..], &[("readonly", "true")]].concat()), None),
        (device(&[("type", "disk"), ("path", "/data"), ("source", "data"), ("pool", "fast")]), Some("fast: data")),
        (device(&[("type", "nic"), ("network", "lxdbr0"), ("ipv4.address", "none")]), None),
    ];
    for (device, both) in cases {
        let (mut found, mut units) = (deployed(), units());
        let Kind::Instance(instance) = &mut units[1].deployment.resources[1].kind else { panic!("no instance") };
        "greeter".clone_into(&mut instance.name);
        instance.devices = [("one".to_owned(), device.clone())].into();
        found.instances.get_mut("hello").unwrap().devices = [("other".to_owned(), device)].into();
        let first = &plan("", &units, &found).steps[0].action;
        let why = both.map(|both| format!("no file names instance hello any longer, and both have {both}"));
        let found = matches!(first, Action::ReplaceInstance { .. }).then(|| first.details().concat());
        assert_eq!(found, why);
    }
}

#[test]
fn a_broken_replacement_by_one_of_another_name_is_mended_from_every_state() {
    let (before, units) = renamed();
    let old = before.instances["hello"].clone();
    let mut new = old.clone();
    new.config.insert(found::UNPROVEN.to_owned(), found::NEW.to_owned());
    let (unfinished, aside) = (unfinished(&new, "greeter"), set_aside(&old, "greeter"));
    let remove = "ryo-hello: remove the unfinished instance greeter-ryo-new";
    let back = "ryo-hello: put instance hello back under its name";
    let replace = "ryo-hello: replace instance hello by greeter from ryo-hello-hello-1";
    let cases = [
        ([("hello", &old), ("greeter-ryo-new", &unfinished)], vec![remove, replace]),
        ([("hello", &aside), ("greeter-ryo-new", &unfinished)], vec![remove, back, replace]),
        ([("hello-ryo-old", &aside), ("greeter-ryo-new", &unfinished)], vec![remove, back, replace]),
        ([("hello-ryo-old", &aside), ("greeter", &unfinished)], vec![back, replace]),
        ([("hello-ryo-old", &aside), ("greeter", &new)], vec!["ryo-hello: see instance greeter become healthy"]),
    ];
    for (instances, expected) in cases {
        let mut found = before.clone();
        found.instances.remove("hello");
        for (name, instance) in instances {
            found.instances.insert(name.to_owned(), found::Instance { name: name.to_owned(), ..instance.clone() });
        }
        let mended = plan("", &units, &found);
        assert_eq!(lines(&mended), expected);
        carry_out(&mended, &mut found);
        assert_eq!(found.instances.keys().collect::<Vec<_>>(), ["greeter", "web-proxy"]);
        assert!(plan("", &units, &found).steps.is_empty());
    }
}

#[test]
fn an_image_of_a_server_that_is_called_otherwise_takes_another_instance() {
    let (mut found, mut units) = (deployed(), units());
    let image = |units: &mut Vec<Unit>, name: &str| {
        let Kind::Instance(instance) = &mut units[1].deployment.resources[1].kind else { panic!("no instance") };
        name.clone_into(&mut instance.image);
    };
    image(&mut units, "images:debian/12");
    let config = &mut found.instances.get_mut("hello").unwrap().config;
    // One that the original tools have made does not say.
    config.remove(found::IMAGE_NAME);
    assert!(plan("", &units, &found).steps.is_empty());
    let config = &mut found.instances.get_mut("hello").unwrap().config;
    config.insert(found::IMAGE_NAME.to_owned(), "images:debian/12".to_owned());
    assert!(plan("", &units, &found).steps.is_empty());
    image(&mut units, "images:debian/13");
    let plan_of_other = plan("", &units, &found);
    assert_eq!(lines(&plan_of_other), ["ryo-hello: replace instance hello by one from images:debian/13"]);
    assert_eq!(plan_of_other.steps[0].action.details(), ["image: images:debian/12 → images:debian/13"]);
    units[1].deployment.resources[1].lifecycle.ignored = Ignored::These([("image".to_owned(), None)].into());
    assert!(plan("", &units, &found).steps.is_empty());
}

/// A replacement that broke just before the old one was removed, with this mark on the new one.
fn almost_replaced(unproven: Option<&str>) -> Found {
    let mut found = deployed();
    let mut old = found.instances["hello"].clone();
    "hello-ryo-old".clone_into(&mut old.name);
    old.running = false;
    old.config.insert(found::REPLACED.to_owned(), "hello".to_owned());
    old.config.insert(found::DEVICES.to_owned(), serde_json::to_string(&old.devices).unwrap());
    found.instances.insert(old.name.clone(), old);
    let new = found.instances.get_mut("hello").unwrap();
    new.config.extend(unproven.map(|mark| (found::UNPROVEN.to_owned(), mark.to_owned())));
    found
}

#[test]
fn a_broken_replacement_whose_template_has_changed_since_is_mended_before_the_next_one() {
    let mut units = units();
    units[1].images[0].inputs = "inputs-hello-2".to_owned();
    let next = [
        "ryo-hello: build image ryo-hello-hello-1 from debian/12 (what it is made from has changed)",
        "ryo-hello: replace instance hello by one from ryo-hello-hello-1",
    ];
    let cases = [
        (None, "ryo-hello: remove instance hello-ryo-old, which has been replaced"),
        (Some(found::NEW), "ryo-hello: put instance hello back under its name"),
    ];
    for (unproven, first) in cases {
        let mut found = almost_replaced(unproven);
        let plan_of_state = plan("", &units, &found);
        assert_eq!(lines(&plan_of_state), [first, next[0], next[1]], "{unproven:?}");
        carry_out(&plan_of_state, &mut found);
        assert_eq!(found.instances.keys().collect::<Vec<_>>(), ["hello", "web-proxy"], "{unproven:?}");
        assert!(plan("", &units, &found).steps.is_empty(), "{unproven:?}");
    }
}

#[test]
fn a_replacement_of_another_project_that_broke_is_mended_without_loss() {
    let units = [proxy("1")];
    let proven = plan("", &units, &almost_replaced(None));
    assert_eq!(lines(&proven), ["ryo-hello: remove instance hello-ryo-old, which has been replaced"]);
    assert_eq!(
        proven.steps[0].action.destroys().as_deref(),
        Some("instance `hello-ryo-old` with everything in it that is not on a mounted host directory")
    );
    let unproven = plan("", &units, &almost_replaced(Some(found::NEW)));
    assert_eq!(lines(&unproven), ["ryo-hello: put instance hello back under its name"]);
}

#[test]
fn leftovers_are_seen_to_before_the_secrets_of_image_builds_are_waited_for() {
    let mut units = units();
    units[1].images[0].inputs = "inputs-hello-2".to_owned();
    let steps = plan("", &units, &almost_replaced(Some(found::NEW))).preparation();
    assert_eq!(
        lines(&steps),
        [
            "ryo-hello: put instance hello back under its name",
            "ryo-hello: build image ryo-hello-hello-1 from debian/12 (what it is made from has changed)",
        ]
    );
}

#[test]
fn of_two_instances_that_were_set_aside_the_one_that_still_has_the_name_comes_back() {
    let mut found = almost_replaced(None);
    let present = found.instances.get_mut("hello").unwrap();
    present.config.insert(found::REPLACED.to_owned(), "hello".to_owned());
    present.config.insert(found::DEVICES.to_owned(), serde_json::to_string(&present.devices).unwrap());
    let plan_of_state = plan("", &units(), &found);
    assert_eq!(
        lines(&plan_of_state),
        [
            "ryo-hello: remove instance hello-ryo-old, which has been replaced",
            "ryo-hello: put instance hello back under its name",
        ]
    );
    carry_out(&plan_of_state, &mut found);
    assert!(plan("", &units(), &found).steps.is_empty());
}

#[test]
fn an_instance_that_was_set_aside_and_whose_devices_are_lost_gets_those_of_the_files() {
    let mut found = deployed();
    let old = found.instances.get_mut("hello").unwrap();
    old.running = false;
    old.devices.clear();
    old.config.insert(found::REPLACED.to_owned(), "hello".to_owned());
    let plan = plan("", &units(), &found);
    assert_eq!(
        lines(&plan),
        ["ryo-hello: put instance hello back under its name", "ryo-hello: change instance hello in place"]
    );
    assert_eq!(plan.steps[1].action.details(), ["device eth0: added", "needs a restart"]);
}

#[test]
fn what_moves_from_one_repository_to_another_stays() {
    let mut found = deployed();
    let mut units = units();
    let instance = units[0].deployment.resources.remove(0);
    let keys = units[1].deployment.resources.pop().unwrap();
    units[1].deployment.resources.push(instance);
    units[0].deployment.resources.push(keys);
    units[0].deployment.consul = Some(consul());
    let moved = plan("", &units, &found);
    assert_eq!(
        lines(&moved),
        [
            "ryo-web-proxy: note which Consul keys are its own",
            "ryo-hello: change instance web-proxy in place",
            "ryo-hello: note which Consul keys are its own",
        ]
    );
    assert_eq!(moved.steps[1].action.details(), ["belongs to ryo-web-proxy → ryo-hello"]);
    carry_out(&moved, &mut found);
    assert!(found.keys.contains_key("service/acl/hello/host"));
    assert_eq!(lines(&plan("", &units, &found)), Vec::<String>::new());
}

#[test]
fn an_unproven_instance_that_is_to_be_changed_is_changed() {
    let mut found = deployed();
    let instance = found.instances.get_mut("hello").unwrap();
    instance.config.insert(found::UNPROVEN.to_owned(), found::AGAIN.to_owned());
    instance.config.insert("limits.cpu".to_owned(), "1".to_owned());
    let plan_of_state = plan("", &units(), &found);
    assert_eq!(lines(&plan_of_state), ["ryo-hello: change instance hello in place"]);
    carry_out(&plan_of_state, &mut found);
    assert!(plan("", &units(), &found).steps.is_empty());
}

#[test]
fn a_build_instance_that_was_left_behind_goes_first() {
    let mut found = empty_host();
    let build = found::Instance {
        name: "ryo-build-0a1b2c3d".to_owned(),
        config: map([(found::BUILD, "ryo-hello-hello-1"), (found::OWNER, "ryo-hello")]),
        ..found::Instance::default()
    };
    found.instances.insert(build.name.clone(), build);
    assert_eq!(
        lines(&plan("", &units(), &found))[0],
        "ryo-hello: remove the left-over build instance ryo-build-0a1b2c3d"
    );
}

#[test]
fn a_plan_for_programs_names_keys_and_not_their_values() {
    let text = plan("t", &units(), &empty_host()).json().to_string();
    assert!(text.contains("set service/acl/hello/host"), "{text}");
    assert!(!text.contains("hello.example.org") && !text.contains("cloud-config"), "{text}");
}

fn server() -> DatabaseProvider {
    DatabaseProvider {
        engine: Engine::Mysql,
        host: "mariadb.service.local.ryo".to_owned(),
        port: 3306,
        user: "terraform".to_owned(),
        password: Some(Secret::new("hush")),
        database: None,
        place: Place::file("main.tf"),
    }
}

fn object(name: &str, what: What, properties: &[(&'static str, &str)], password: Option<&str>) -> Resource {
    let properties = properties.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Resource {
        address: name.to_owned(),
        place: Place::file("main.tf"),
        depends_on: vec![],
        lifecycle: Lifecycle::default(),
        kind: Kind::Database(DatabaseObject { what, properties, password: password.map(Secret::new) }),
    }
}

/// The project with a database before its instance.
fn with_database() -> Vec<Unit> {
    let mut units = units();
    let (user, host) = ("hello-user".to_owned(), "10.10.1.%".to_owned());
    let objects = [
        object(
            "mysql_database.db",
            What::MysqlDatabase("hello".to_owned()),
            &[("character set", "utf8mb4"), ("collation", "utf8mb4_unicode_ci")],
            None,
        ),
        object("mysql_user.u", What::MysqlUser(user.clone(), host.clone()), &[("TLS", "NONE")], Some("s3cret")),
        object(
            "mysql_grant.g",
            What::MysqlGrant { user, host, database: "hello".to_owned(), table: "*".to_owned() },
            &[("privileges", "ALL"), ("may be given on", "no")],
            None,
        ),
    ];
    units[1].deployment.databases = vec![server()];
    units[1].deployment.resources.splice(1..1, objects);
    units
}

/// Each object of the project, looked at.
fn seen(found: &mut Found, seen: &Seen) {
    for resource in &with_database()[1].deployment.resources {
        if let Kind::Database(object) = &resource.kind {
            found.databases.insert(identity(&server(), object), seen.clone());
        }
    }
}

#[test]
fn a_database_is_made_behind_what_its_resources_depend_on_even_if_its_server_is_not_there_yet() {
    let mut found = empty_host();
    seen(
        &mut found,
        &Seen::Unknown { why: "cannot reach MySQL at mariadb.service.local.ryo:3306: refused".to_owned() },
    );
    let first = plan("deploy", &with_database(), &found);
    let text = first.text();
    let tail = text.split("  ~ ryo-hello: write 1 Consul key\n").nth(1).unwrap();
    assert_eq!(
        tail,
        "      set service/domain/hello\n\
         \x20 + ryo-hello: make MySQL database hello, unless it is so already\n\
         \x20     not looked at yet: cannot reach MySQL at mariadb.service.local.ryo:3306: refused\n\
         \x20 + ryo-hello: make MySQL user hello-user@10.10.1.%, unless it is so already\n\
         \x20     not looked at yet: cannot reach MySQL at mariadb.service.local.ryo:3306: refused\n\
         \x20 + ryo-hello: grant ALL on hello.* to MySQL user hello-user@10.10.1.%, unless it is so already\n\
         \x20     not looked at yet: cannot reach MySQL at mariadb.service.local.ryo:3306: refused\n\
         \x20 + ryo-hello: create instance hello from ryo-hello-hello-1\n\
         \x20     device eth0: nic, ipv4.address 10.10.1.20, network local\n\
         \x20 ~ ryo-hello: write 2 Consul keys\n\
         \x20     set service/acl/hello/host\n\
         \x20     set service/backends/hello\n\
         \x20 ~ ryo-hello: note what on database servers is its own\n\
         \x20 + ryo-hello: enter the project in the list of deployed projects\n\
         14 steps\n"
    );
    assert!(!format!("{first:?}{text}{}", first.json()).contains("s3cret"));
    carry_out(&first, &mut found);
    assert_eq!(lines(&plan("", &with_database(), &found)), Vec::<String>::new());
}

#[test]
fn a_database_that_differs_is_changed_in_place_and_passwords_are_not_shown() {
    let mut found = deployed();
    // Nobody looked, as for an offline plan: nothing is there.
    let unseen = lines(&plan("", &with_database(), &found));
    seen(&mut found, &Seen::Absent);
    let made = plan("", &with_database(), &found);
    assert_eq!(lines(&made), unseen);
    assert_eq!(
        unseen,
        [
            "ryo-hello: make MySQL database hello",
            "ryo-hello: make MySQL user hello-user@10.10.1.%",
            "ryo-hello: grant ALL on hello.* to MySQL user hello-user@10.10.1.%",
            "ryo-hello: note what on database servers is its own",
        ]
    );
    carry_out(&made, &mut found);
    let mut units = with_database();
    for resource in &mut units[1].deployment.resources {
        let Kind::Database(object) = &mut resource.kind else { continue };
        match &object.what {
            What::MysqlDatabase(_) => drop(object.properties.insert("collation", "utf8mb4_bin".to_owned())),
            What::MysqlUser(..) => object.password = Some(Secret::new("another")),
            _ => drop(object.properties.insert("privileges", "INSERT, SELECT".to_owned())),
        }
    }
    let changed = plan("", &units, &found);
    let details: Vec<_> = changed.steps.iter().map(|step| (step.to_string(), step.action.details())).collect();
    let expected = [
        ("ryo-hello: change MySQL database hello", "collation: utf8mb4_unicode_ci → utf8mb4_bin"),
        ("ryo-hello: change MySQL user hello-user@10.10.1.%", "password"),
        (
            "ryo-hello: change privileges of MySQL user hello-user@10.10.1.% on hello.*",
            "privileges: ALL → INSERT, SELECT",
        ),
    ];
    assert_eq!(details, expected.map(|(title, detail)| (title.to_owned(), vec![detail.to_owned()])));
    assert!(changed.steps.iter().all(|step| step.action.destroys().is_none()));
}

#[test]
fn a_database_that_no_file_names_any_longer_stays_and_is_said_once() {
    let mut found = deployed();
    seen(&mut found, &Seen::Absent);
    carry_out(&plan("", &with_database(), &found), &mut found);
    let without = plan("", &units(), &found);
    let stays = "at mariadb.service.local.ryo:3306: no file names it any longer, it stays as it is";
    assert_eq!(lines(&without), ["ryo-hello: note what on database servers is its own"]);
    assert_eq!(
        without.steps[0].action.details(),
        [
            format!("MySQL database hello {stays}"),
            format!("MySQL user hello-user@10.10.1.% {stays}"),
            format!("privileges of MySQL user hello-user@10.10.1.% on hello.* {stays}"),
        ]
    );
    carry_out(&without, &mut found);
    assert_eq!(found.databases.len(), 3);
    assert_eq!(lines(&plan("", &units(), &found)), Vec::<String>::new());
}

#[test]
fn an_instance_is_replaced_when_other_keys_may_be_written_in_it() {
    let mut found = empty_host();
    let writes = |path: &str| Writes([(path.to_owned(), Reach::Beginning)].into());
    let unit = |path: &str| Unit { writes: writes(path), ..hello("1") };
    carry_out(&plan("deploy", &[hello("1")], &found), &mut found);

    let allowed = plan("deploy", &[unit("service/hello/")], &found);
    assert_eq!(why(&allowed), ["may write the Consul keys service/hello/*"]);
    carry_out(&allowed, &mut found);
    assert_eq!(plan("deploy", &[unit("service/hello/")], &found).steps, []);
    assert_eq!(why(&plan("deploy", &[unit("service/other/")], &found)), ["may write the Consul keys service/other/*"]);
    // Where everybody may, what an instance was allowed once does not matter.
    assert_eq!(plan("deploy", &[hello("1")], &found).steps, []);

    let mut found = empty_host();
    let fresh = plan("deploy", &[unit("service/hello/")], &found);
    let created = fresh.steps.iter().find(|step| matches!(step.action, Action::CreateInstance(_))).unwrap();
    assert_eq!(created.action.details().last().unwrap(), "may write the Consul keys service/hello/*");
    carry_out(&fresh, &mut found);
    assert_eq!(plan("deploy", &[unit("service/hello/")], &found).steps, []);
}

/// Why the one instance that `plan` replaces is replaced.
fn why(plan: &Plan) -> Vec<String> {
    let replaced = plan.steps.iter().find_map(|step| match &step.action {
        Action::ReplaceInstance { why, .. } => Some(why.clone()),
        _ => None,
    });
    replaced.unwrap()
}
