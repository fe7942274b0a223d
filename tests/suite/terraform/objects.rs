//! What a server has beside instances: networks, profiles, pools, volumes, files, images; and prefixes of keys.

use super::language::deployment_of;
use super::*;
use ryo::terraform::{CachedImage, Content, Directories, File, Object, ObjectKind};

fn kinds(deployment: Deployment) -> Vec<Kind> {
    deployment.resources.into_iter().map(|resource| resource.kind).collect()
}

fn text(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn object(kind: ObjectKind, name: &str, form: Option<&str>, config: &[(&str, &str)]) -> Object {
    Object {
        kind,
        name: name.to_owned(),
        description: None,
        form: form.map(str::to_owned),
        config: text(config),
        first: BTreeMap::new(),
        devices: BTreeMap::new(),
        hidden: [].into(),
    }
}

#[test]
fn networks_profiles_pools_and_volumes_have_what_their_blocks_say() {
    let source = r#"
resource "lxd_storage_pool" "pool" {
  name   = "fast"
  driver = "zfs"
  config = { source = "tank/x", "zfs.clone_copy" = false }
}
resource "lxd_volume" "data" {
  name         = "data"
  pool         = lxd_storage_pool.pool.name
  content_type = "filesystem"
  config       = { size = "1GiB" }
}
resource "lxd_network" "net" {
  name        = "inner"
  description = "Inner"
  config      = { "ipv4.address" = "10.20.30.1/24", "tunnel.x.id" = 9999, "none" = null }
}
resource "lxd_profile" "web" {
  name   = "web"
  config = { "limits.cpu" = 2 }
  device {
    name       = "eth1"
    type       = "nic"
    properties = { network = lxd_network.net.name }
  }
}
resource "lxd_container" "web" {
  name     = "web"
  image    = "i"
  profiles = ["default", lxd_profile.web.name]
}
"#;
    let deployment = deployment_of(source);
    assert_eq!(deployment.resources[4].depends_on, ["lxd_profile.web"]);
    let nic = text(&[("type", "nic"), ("network", "inner")]);
    let wanted = [
        Object {
            first: text(&[("source", "tank/x")]),
            ..object(ObjectKind::Pool, "fast", Some("zfs"), &[("zfs.clone_copy", "false")])
        },
        object(ObjectKind::Volume { pool: "fast".to_owned() }, "data", Some("filesystem"), &[("size", "1GiB")]),
        Object {
            description: Some("Inner".to_owned()),
            ..object(ObjectKind::Network, "inner", None, &[("ipv4.address", "10.20.30.1/24"), ("tunnel.x.id", "9999")])
        },
        Object {
            devices: [("eth1".to_owned(), nic)].into(),
            ..object(ObjectKind::Profile, "web", None, &[("limits.cpu", "2")])
        },
    ];
    let made: Vec<Kind> = kinds(deployment_of(source)).into_iter().take(4).collect();
    assert_eq!(made, wanted.map(Kind::Object));
    let incus = source
        .replace("lxd_container", "incus_instance")
        .replace("lxd_volume", "incus_storage_volume")
        .replace("lxd_", "incus_");
    assert_eq!(kinds(deployment_of(&incus)), kinds(deployment_of(source)));
}

#[test]
fn files_and_images_have_what_their_blocks_say() {
    let directory = lay_out(&[
        VARIABLES,
        (
            "ryo-a/project-deployment/main.tf",
            r#"
resource "lxd_cached_image" "debian" {
  source_remote = "images"
  source_image  = "debian/12"
  aliases       = ["base"]
}
resource "incus_image" "alpine" {
  source_image = {
    remote = "images"
    name   = "alpine/edge"
  }
}
resource "lxd_container" "web" {
  name  = "web"
  image = lxd_cached_image.debian.fingerprint
}
resource "incus_instance" "other" {
  name  = "other"
  image = incus_image.alpine.fingerprint
}
resource "lxd_container_file" "motd" {
  container_name     = lxd_container.web.name
  target_file        = "/etc/motd"
  content            = "hello"
  mode               = "0644"
  create_directories = true
}
resource "incus_instance_file" "copy" {
  instance    = incus_instance.other.name
  target_path = "/srv/copy"
  source_path = "files/copy"
  uid         = 1000
  gid         = 33
}
"#,
        ),
        ("ryo-a/project-deployment/files/copy", "copied\n"),
    ]);
    let deployment = deployment(directory.path()).unwrap();
    assert_eq!(instance(&deployment, "lxd_container.web").image, "images:debian/12");
    assert_eq!(instance(&deployment, "incus_instance.other").image, "images:alpine/edge");
    let mut others = kinds(deployment);
    others.retain(|kind| !matches!(kind, Kind::Instance(_)));
    let image = |source: &str, aliases: &[&str]| {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Kind::Image(CachedImage { source: source.to_owned(), aliases })
    };
    assert_eq!(
        others,
        [
            image("images:debian/12", &["base"]),
            image("images:alpine/edge", &[]),
            Kind::File(File {
                instance: "web".to_owned(),
                path: "/etc/motd".to_owned(),
                content: Content::Text(ryo::secret::Secret::new("hello".to_owned())),
                uid: 0,
                gid: 0,
                mode: 0o644,
                directories: Directories::Make,
            }),
            Kind::File(File {
                instance: "other".to_owned(),
                path: "/srv/copy".to_owned(),
                content: Content::Source(directory.path().join("ryo-a/project-deployment/files/copy")),
                uid: 1000,
                gid: 33,
                mode: 0o755,
                directories: Directories::Expect,
            }),
        ]
    );
}

#[test]
fn a_prefix_of_keys_has_its_keys_to_itself() {
    let deployment = deployment_of(
        r#"
resource "consul_key_prefix" "app" {
  path_prefix = "app/"
  subkeys     = { a = 1, "b/c" = "x" }
  subkey {
    path  = "d"
    value = "y"
  }
}
"#,
    );
    let Kind::ConsulKeys(keys) = &deployment.resources[0].kind else { panic!("no keys") };
    let written: Vec<_> = keys.keys.iter().map(|key| (key.path.as_str(), key.value.as_str())).collect();
    assert_eq!(written, [("app/a", "1"), ("app/b/c", "x"), ("app/d", "y")]);
    assert_eq!(keys.prefix.as_deref(), Some("app/"));
}

#[test]
fn each_mistake_in_them_has_its_message() {
    let file = "resource \"lxd_container_file\" \"f\" {\n  container_name = \"a\"\n";
    let cases: &[(String, &str)] = &[
        (
            "resource \"lxd_volume\" \"v\" {\n  name = \"v\"\n  pool = \"p\"\n  type = \"image\"\n}\n".to_owned(),
            "4:10: volumes of the type `image` are not supported, only `custom`",
        ),
        (
            "resource \"lxd_network\" \"n\" {\n  name = \"a/b\"\n  project = \"p\"\n}\n".to_owned(),
            "2:10: `a/b` is no name on a server",
        ),
        (
            "resource \"lxd_network\" \"n\" {\n  name = \"b\"\n  project = \"p\"\n}\n".to_owned(),
            "3:13: the server's project `p` is not supported, only `default`",
        ),
        (
            "resource \"lxd_network\" \"n\" {\n  name = \"b\"\n  target = \"node1\"\n}\n".to_owned(),
            "3:3: `target` is not supported",
        ),
        ("resource \"lxd_storage_pool\" \"p\" {\n  name = \"b\"\n}\n".to_owned(), "1:1: `driver` is missing"),
        (
            "resource \"lxd_container\" \"c\" {\n  name = \"c\"\n  image = \"i\"\n}\nresource \"lxd_instance\" \"d\" {\n  name = \"d\"\n  image = \"i\"\n  project = \"p\"\n}\n".to_owned(),
            "8:13: the server's project `p` is not supported, only `default`",
        ),
        (format!("{file}  target_file = \"x\"\n  content = \"\"\n}}\n"), "3:17: `x` is no absolute path"),
        (
            format!("{file}  target_file = \"/x\"\n}}\n"),
            "1:1: a file has either `content` or a source",
        ),
        (
            format!("{file}  target_file = \"/x\"\n  content = \"\"\n  mode = \"rw\"\n}}\n"),
            "5:10: `rw` is no mode such as `0644`",
        ),
        (
            format!("{file}  target_file = \"/x\"\n  content = \"\"\n  append = true\n}}\n"),
            "5:12: `append` is not supported (what was appended before cannot be told from what was there)",
        ),
        (
            format!("{file}  target_file = \"/x\"\n  source = \"gone\"\n}}\n"),
            "4:12: there is no file `ryo-a/project-deployment/gone`",
        ),
        (
            "resource \"lxd_cached_image\" \"i\" {\n  source_image = \"x\"\n}\n".to_owned(),
            "1:1: an image needs a server and a name there \
             (`source_remote` and `source_image`, or `source_image = { remote, name }`)",
        ),
        (
            "resource \"incus_image\" \"i\" {\n  source_image = { remote = \"r\", name = \"n\", architecture = \"x\" }\n}\n".to_owned(),
            "2:18: `architecture` of `source_image` is not supported",
        ),
        (
            "resource \"consul_key_prefix\" \"k\" {\n  path_prefix = \"/x\"\n}\n".to_owned(),
            "2:17: `path_prefix` must be the start of keys, without a slash in front",
        ),
        (
            "resource \"lxd_snapshot\" \"s\" {}\n".to_owned(),
            "1:1: the resource `lxd_snapshot` is not supported (a replaced instance would lose its snapshots; \
             keep what is to be kept in a mounted directory)",
        ),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let told = problems_of(text);
            let expected = format!("ryo-a/project-deployment/main.tf:{expected}");
            (!told.contains(&expected)).then(|| format!("{told:#?} instead of {expected}"))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}
