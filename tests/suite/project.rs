//! A checked-out repository: its parts, its configuration, what is deployed.

use std::fs;
use std::path::Path;

use ryo::project::access::Reach;
use ryo::project::{Kind, access, control, deployed, host, load, script};
use ryo::yaml;
use tempfile::TempDir;

pub(crate) fn lay_out(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = directory.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    directory
}

pub(crate) fn told(directory: &Path, problems: &[ryo::place::Problem]) -> Vec<String> {
    let here = directory.canonicalize().unwrap().display().to_string();
    problems.iter().map(|it| it.to_string().replace(&format!("{here}/"), "").replace(&here, ".")).collect()
}

pub(crate) const HOST: &str = "host_control_ip: 192.168.1.10
host_public_ip: 203.0.113.5
host_public_ipv6: false
host_public_ipv6_prefix: <IPV6 PREFIX>
host_public_ipv6_address: <IPV6 ADDRESS>
host_initial_ssh_port: 22
host_root_user: root
host_root_password: first
host_non_root_user: ops
host_non_root_user_password: second
host_new_ssh_port: 2222
host_wireguard_port: 52222
wireguard_network_part: \"10.0.1\"
wireguard_network_ipv6_prefix: \"fd10:10:0:1\"
lxd_host_network_part: \"10.10.1\"
lxd_host_network_ipv6_subnet: \"1\"
lxd_host_private_ipv6_prefix: \"fd10:10:10:1\"
lxd_storage_pool_size: 40GB
";

pub(crate) const CONTROL: &str = "local_non_root_user: me
local_non_root_user_password: \"\"
veth0_network_part: \"10.100.100\"
veth0_network_ipv6_prefix: \"fd10:10:100:100\"
local_non_root_user_ssh_private_key_file_path: \"/home/{{ local_non_root_user }}/.ssh/ryo_id_ssh_rsa\"
local_non_root_user_ssh_public_key_file_path: \"/home/{{ local_non_root_user }}/.ssh/ryo_id_ssh_rsa.pub\"
";

#[test]
fn the_parts_of_a_project_are_found() {
    let template = "variable \"host_id\" {}\nvariable \"version\" {}\nvariable \"b_version\" {}\n";
    let directory = lay_out(&[
        ("ryo-a/deploy.sh", "#!/bin/bash\n# MODULES=\"no\"\nMODULES=\"ryo-x ryo-y\"\n"),
        (
            "ryo-a/scripts-project/build-image-project.sh",
            "b_version='1.2'\nversion=\"none\"\nother=\"$1\"\npacker build \"$D\"/../image-build/z.pkr.hcl\npacker build ../image-build/b.pkr.hcl\n",
        ),
        ("ryo-a/image-build/b.pkr.hcl", template),
        ("ryo-a/image-build/z.pkr.hcl", ""),
        ("ryo-a/image-build/c.pkr.hcl", ""),
        ("ryo-a/host-setup/main.yml", ""),
        (
            "ryo-a/project-deployment/main.tf",
            "module \"m\" {\n  source = \"../../ryo-z/modules/m\"\n}\nmodule \"n\" {\n  source = \"../../ryo-x/modules/m\"\n}\n",
        ),
    ]);
    let base = directory.path().canonicalize().unwrap();
    let repository = load(&directory.path().join("ryo-a")).unwrap();
    assert_eq!((repository.name.as_str(), repository.kind), ("ryo-a", Kind::Project));
    assert_eq!(repository.working_directory, base);
    assert_eq!(repository.modules, ["ryo-x", "ryo-y", "ryo-z"]);
    assert_eq!(repository.versions, [("b_version".to_owned(), "1.2".to_owned())].into());
    let templates = ["z", "b", "c"].map(|name| base.join(format!("ryo-a/image-build/{name}.pkr.hcl")));
    assert_eq!(repository.templates, templates);
    assert_eq!(repository.host_setup, Some(base.join("ryo-a/host-setup/main.yml")));
    assert_eq!(repository.configuration("h"), base.join("ryo-a/configuration/configuration_h.yml"));
    assert_eq!(repository.sibling("ryo-x"), base.join("ryo-x"));
}

#[test]
fn a_directory_that_is_no_repository_says_so() {
    let directory = lay_out(&[("a/x", "")]);
    assert_eq!(
        told(directory.path(), &load(&directory.path().join("a")).unwrap_err()),
        ["a: this is no repository of a project or module \
          (it has neither `project-deployment/` nor `module-deployment/`)"]
    );
}

#[test]
fn scripts_give_up_their_constants_and_nothing_else() {
    let text = "a='x y'\nb=\"z\"\nc=1.2 # why\nd=$1\ne=\"$x\"\nf=`date`\n  g='indented'\nh=(a b)\ni=\nj='a'; k='b'\nexport l='m'\n";
    let constants: Vec<(String, String, usize)> =
        script::constants(text).into_iter().map(|it| (it.name, it.value, it.line)).collect();
    let expected = [("a", "x y", 1), ("b", "z", 2), ("c", "1.2", 3), ("i", "", 9), ("j", "a", 10)];
    assert_eq!(constants, expected.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line)));
}

#[test]
fn a_host_is_read_with_its_types() {
    let directory = lay_out(&[("ryo-host/configuration/configuration_web.yml", HOST)]);
    let web = host::read(directory.path(), "web").unwrap();
    assert_eq!(web.control_ip.to_string(), "192.168.1.10");
    assert_eq!((web.ssh_port, web.public_ipv6.clone()), (2222, None));
    assert_eq!(web.tunnel_address(), "fd10:10:0:1::2");
    assert_eq!(web.consul_address(), "[fd10:10:10:1::1:1]:8500");
    assert!(!format!("{web:?}").contains("second"));
}

#[test]
fn everything_wrong_with_a_host_is_told_at_once() {
    let text = HOST
        .replace("192.168.1.10", "192.168.1.256")
        .replace("host_public_ip: 203.0.113.5", "host_public_ip: <IP ADDRESS>")
        .replace("host_public_ipv6: false", "host_public_ipv6: yes")
        .replace("2222\nhost_w", "0\nhost_w")
        .replace("\"10.0.1\"", "\"10.0.1.\"")
        .replace("fd10:10:10:1\"", "fd10:10:10:1::\"")
        .replace("lxd_host_network_ipv6_subnet: ", "lxd_host_network_ipv6_subnett: ")
        .replace("40GB", "40 gigs");
    let directory = lay_out(&[("ryo-host/configuration/configuration_web.yml", &text)]);
    let (_, problems, warnings) = host::inspect(directory.path(), "web");
    let mut problems = told(directory.path(), &problems);
    problems.sort();
    let file = "ryo-host/configuration/configuration_web.yml";
    let mut expected = vec![
        format!("{file}: the key `lxd_host_network_ipv6_subnet` is missing (there is `lxd_host_network_ipv6_subnett`)"),
        format!("{file}:1:18: `host_control_ip` must be an IPv4 address, not `192.168.1.256`"),
        format!(
            "{file}:2:17: `host_public_ip` is still the placeholder `<IP ADDRESS>` (put the real value in its place)"
        ),
        format!(
            "{file}:4:26: `host_public_ipv6_prefix` is still the placeholder `<IPV6 PREFIX>` (put the real value in its place)"
        ),
        format!(
            "{file}:5:27: `host_public_ipv6_address` is still the placeholder `<IPV6 ADDRESS>` (put the real value in its place)"
        ),
        format!("{file}:11:20: `host_new_ssh_port` must be a port from 1 to 65535, not `0`"),
        format!(
            "{file}:13:25: `wireguard_network_part` must be the first three parts of an IPv4 network such as `10.0.1`, not `10.0.1.`"
        ),
        format!(
            "{file}:17:31: `lxd_host_private_ipv6_prefix` must be an IPv6 prefix without colons at its end such as `fd10:10:0:1`, not `fd10:10:10:1::`"
        ),
        format!("{file}:18:24: `lxd_storage_pool_size` must be a size such as `40GB`, not `40 gigs`"),
    ];
    expected.sort();
    let problems: Vec<String> =
        problems.iter().map(|it| it.replace(&format!("{}/", directory.path().display()), "")).collect();
    assert_eq!(problems, expected);
    let warnings: Vec<String> = warnings.iter().map(|it| it.message.clone()).collect();
    assert_eq!(warnings, ["`yes` is read as true"]);
}

#[test]
fn the_size_of_a_pool_is_in_bytes_as_its_server_reads_it() {
    let sizes = [("40GB", 40_000_000_000), ("2GiB", 2 << 30), ("7", 7), ("7B", 7), ("3kB", 3000), ("1TiB", 1 << 40)];
    for (text, bytes) in sizes {
        let text = HOST.replace("40GB", text);
        let directory = lay_out(&[("ryo-host/configuration/configuration_web.yml", &text)]);
        assert_eq!(host::read(directory.path(), "web").unwrap().storage_pool_bytes(), bytes, "{text}");
    }
}

#[test]
fn names_of_hosts_follow_the_rule() {
    for name in ["web", "local", "h1", "ABCDEFGHIJKLMNO"] {
        assert_eq!(host::name_problem(name), None);
    }
    let told = |name: &str| host::name_problem(name).unwrap();
    assert_eq!(told("a-b"), "`a-b` is no name for a host: only letters and digits");
    assert_eq!(told(""), "`` is no name for a host: only letters and digits");
    assert_eq!(told("build"), "`build` cannot be the name of a host: it is taken");
    assert_eq!(told("ABCDEFGHIJKLMNOP"), "the host name `ABCDEFGHIJKLMNOP` is too long: 16 characters, at most 15");
}

#[test]
fn the_control_node_names_its_keys_by_its_account() {
    let directory = lay_out(&[("ryo-control-node/configuration/configuration.yml", CONTROL)]);
    let control = control::read(directory.path()).unwrap();
    assert_eq!((control.user.as_str(), control.private_key.as_str()), ("me", "/home/me/.ssh/ryo_id_ssh_rsa"));
}

#[test]
fn a_secret_is_not_shown_by_a_warning() {
    let text = CONTROL.replace("password: \"\"", "password: 0123");
    let directory = lay_out(&[("ryo-control-node/configuration/configuration.yml", &text)]);
    let (_, problems, warnings) = control::inspect(directory.path());
    assert_eq!(problems, []);
    assert_eq!(
        (warnings[0].message.as_str(), warnings[0].hint.as_deref()),
        ("this value is not the same to Ansible and Terraform as it looks", Some("put it in quotes"))
    );
}

#[test]
fn what_is_deployed_is_listed_in_order_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    assert_eq!(deployed::read(base, Kind::Project, "h").unwrap(), Vec::<String>::new());
    let file = deployed::file(base, Kind::Project, "h");
    assert_eq!(file, base.join("ryo-host/backup-restore/deployed-projects_h.yml"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "- null\n# SPDX\n").unwrap();
    for id in ["ryo-b", "ryo-a", "ryo-b"] {
        deployed::add(base, Kind::Project, "h", id).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "- ryo-b\n- ryo-a\n");
    assert_eq!(deployed::read(base, Kind::Project, "h").unwrap(), ["ryo-b", "ryo-a"]);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    fs::write(&file, "a: 1\n").unwrap();
    let error = deployed::add(base, Kind::Project, "h", "x").unwrap_err();
    assert_eq!(error.to_string(), format!("`{}` is no list of names: a mapping", file.display()));
    assert_eq!(fs::read_to_string(&file).unwrap(), "a: 1\n");
}

#[test]
fn a_list_is_read_by_the_original_tools_too() {
    let directory = tempfile::tempdir().unwrap();
    deployed::add(directory.path(), Kind::Module, "h", "ryo-x").unwrap();
    let text = fs::read_to_string(deployed::file(directory.path(), Kind::Module, "h")).unwrap();
    let documents = yaml::load(&text, yaml::Dialect::Ansible).unwrap();
    assert_eq!(documents[0].items()[0].text(), Some("ryo-x"));
}

#[test]
fn keys_that_containers_write_are_told_by_their_scripts() {
    // A line of a script; the keys that it may write, `*` behind a beginning.
    let table = [
        ("consul kv put service/proxy/backends/shop", "service/proxy/backends/shop"),
        ("  consul kv put -cas -modify-index=0 service/a b; consul kv put 'service/b' \"c d\"", "service/a, service/b"),
        ("consul kv delete -recurse service/proxy/acl/shop-", "service/proxy/acl/shop-*"),
        ("consul kv delete service/proxy/acl/shop", "service/proxy/acl/shop"),
        (
            r#"{{ else }}consul kv put service/certbot/{{ key "service/turn/domain" }} {{ key "x" }}"#,
            "service/certbot/*",
        ),
        (r#"consul kv put {{ print "service/acl/shop-" ( $domain | replaceAll "." "-" ) }} x"#, "service/acl/shop-*"),
        (r#"consul kv put {{- printf "service/acl/%s/host" $domain }} x"#, "service/acl/*"),
        ("consul kv put \"service/shop/$1\" \"$2\"", "service/shop/*"),
        ("[ -e x ] && consul kv put service/`hostname` 1 || true", "service/*"),
        ("(consul kv put service/one)", "service/one"),
        ("consul kv put service/both; consul kv delete -recurse service/both", "service/both*"),
        ("consul kv put {{ $key }} x; consul kv put $KEY x; consul kv put ", ""),
        ("# consul kv put service/never x", ""),
        ("consul kv get service/never", ""),
    ];
    for (line, expected) in table {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("image-build/playbooks/roles/r/files");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("script.sh"), format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::write(below.join("binary"), b"\xff consul kv put service/never x").unwrap();
        let missing = directory.path().join("module-deployment");
        let writes = access::writes(&[&directory.path().join("image-build"), &missing]).unwrap();
        assert_eq!(writes.to_string(), expected, "{line}");
    }
    let two = access::Writes([("a".to_owned(), Reach::Key), ("b/".to_owned(), Reach::Beginning)].into());
    assert_eq!(two.rules(), "key \"a\" { policy = \"write\" }\nkey_prefix \"b/\" { policy = \"write\" }\n");
}
