//! A provision playbook of the field's kind, played into a container: keys, repositories, packages, files and archives of
//! servers, a repository of git, trees that come and go.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use ryo::lxd::wait;

use crate::play::{Instance, Kind, Stage, recap};
use crate::support::mirror::{self, Mirror, Repository, Served};

const PROVISION: &str = r#"
- name: Provision
  hosts: targets
  tasks:
    - name: Trust the mirror
      copy: {src: authority.pem, dest: /etc/ssl/certs/ca-certificates.crt, mode: 0644}
    - name: Key
      apt_key: {url: "{{ mirror }}/apt/key.gpg", state: present}
    - name: Repository
      apt_repository: {repo: "deb {{ mirror }}/apt stable main", state: present, update_cache: yes}
    - name: Package
      apt: {name: ryo-test-hello, state: present, update_cache: yes}
    - name: Package file
      apt: {deb: "{{ mirror }}/other.deb"}
    - name: Binary
      get_url:
        url: "{{ mirror }}/tool"
        dest: /usr/local/bin/tool
        checksum: "sha256:{{ mirror }}/SHA256SUMS"
        mode: '0755'
        owner: root
        group: root
        force: yes
    - name: Zip
      unarchive: {src: "{{ mirror }}/app.zip", dest: /usr/local/bin, remote_src: yes, owner: root, group: root, mode: '0755'}
    - name: Site
      file: {path: /var/www, state: directory}
    - name: Tar
      unarchive:
        src: "{{ mirror }}/site.tar.gz"
        dest: /var/www
        remote_src: yes
        owner: www-data
        group: www-data
        extra_opts: [--strip-components=1]
    - name: Push
      synchronize: {mode: push, src: "{{ playbook_dir }}/backups/", dest: /backup/, dest_port: "{{ 22 | int }}", set_remote_user: no, delete: no}
    - name: Large
      command: cat /backup/large
      changed_when: false
      register: large
    - name: Archive
      archive: {path: /var/www, dest: /root/www.tar.gz, format: gz, remove: no, force_archive: yes}
    - name: Pull
      synchronize: {mode: pull, src: /backup/, dest: "{{ playbook_dir }}/pulled/", delete: no}
    - name: Fetch
      fetch: {src: /usr/local/bin/tool, dest: fetched, flat: no}
    - name: Restore
      file: {path: /restored, state: directory}
    - name: Unpack
      unarchive: {src: backups/inner.tar.gz, dest: /restored, extra_opts: [--same-owner, -p]}
    - name: Script
      script: greet.sh 'a b'
      register: greeting
      changed_when: "'a b' not in greeting.stdout"
"#;

fn trees(stage: &Stage, mirror: &Mirror) {
    let work = stage.path("work");
    for folder in ["apt", "app", "site-1/css"] {
        fs::create_dir_all(work.join(folder)).unwrap();
    }
    let repository = Repository::new(&work.join("apt"), "ryo-test-hello", "1.0");
    mirror.put_folder("apt/dists", &work.join("apt/dists"));
    mirror.put_folder("apt/pool", &work.join("apt/pool"));
    mirror.put("apt/key.gpg", Served::Bytes(repository.binary));
    mirror::package(&work, &work.join("other.deb"), "ryo-test-other", "2.0");
    mirror.put("other.deb", Served::Bytes(fs::read(work.join("other.deb")).unwrap()));
    fs::write(work.join("tool"), "#!/bin/sh\necho tool\n").unwrap();
    let sums = mirror::run("sha256sum", &["tool"], &work);
    mirror.put("SHA256SUMS", Served::Bytes(sums));
    mirror.put("tool", Served::Bytes(fs::read(work.join("tool")).unwrap()));
    fs::write(work.join("app/template"), "#!/bin/sh\necho template\n").unwrap();
    mirror::run("python3", &["-m", "zipfile", "-c", "app.zip", "app/template"], &work);
    fs::write(work.join("site-1/index.html"), "<p>site\n").unwrap();
    fs::write(work.join("site-1/css/a.css"), "p {}\n").unwrap();
    mirror::run("tar", &["-czf", "site.tar.gz", "site-1"], &work);
    for name in ["app.zip", "site.tar.gz"] {
        mirror.put(name, Served::Bytes(fs::read(work.join(name)).unwrap()));
    }
    fs::create_dir_all(stage.path("backups/deep")).unwrap();
    // More than one window of the wire.
    fs::write(stage.path("backups/large"), "0123456789abcdef".repeat(640 << 10)).unwrap();
    fs::write(stage.path("backups/deep/small"), "small\n").unwrap();
    mirror::run(
        "tar",
        &["-czf", stage.path("backups/inner.tar.gz").to_str().unwrap(), "--owner=4711", "--group=4712", "site-1"],
        &work,
    );
    stage.write("greet.sh", "#!/bin/sh\necho \"hello $1\"\n");
    stage.write("authority.pem", mirror.authority());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provision_playbook_is_played_into_a_container_and_found_done() {
    let debian = Instance::start(Kind::Lxd, "debian/12", "build").await;
    let client = Kind::Lxd.client();
    wait::address(&client, &debian.name, Duration::from_mins(1)).await.unwrap();
    let bridge: IpAddr = debian.shell("ip -4 route show default | cut -d' ' -f3").await.trim().parse().unwrap();
    let mirror = Mirror::new(bridge);
    let stage = Stage::new(PROVISION);
    trees(&stage, &mirror);
    stage.write("inventory", &format!("[targets]\none ansible_connection=lxd ansible_host={}\n", debian.name));
    let url = mirror.url("").trim_end_matches('/').to_owned();
    let words = ["-e", &format!("mirror={url}")];

    let first = stage.play(&words).well();
    assert_eq!(
        recap(&first.stdout),
        ["one : ok=17 changed=15 unreachable=0 failed=0 skipped=0 rescued=0 ignored=0"],
        "{first:?}"
    );
    let told = debian
        .shell(
            "cat /usr/share/ryo-test-hello/version /usr/share/ryo-test-other/version; tool; template; \
             stat -c '%U %a' /usr/local/bin/tool /usr/local/bin/template; stat -c %U /var/www/index.html /var/www/css/a.css; \
             cat /backup/deep/small; tar -tzf /root/www.tar.gz | grep -c css; stat -c '%u %g' /restored/site-1/index.html",
        )
        .await;
    assert_eq!(told, "1.0\n2.0\ntool\ntemplate\nroot 755\nroot 755\nwww-data\nwww-data\nsmall\n2\n4711 4712\n");
    let large = fs::read(stage.path("backups/large")).unwrap();
    assert!(fs::read(stage.path("pulled/large")).unwrap() == large);
    assert_eq!(stage.read("pulled/deep/small"), "small\n");
    assert_eq!(stage.read("fetched/one/usr/local/bin/tool"), "#!/bin/sh\necho tool\n");
    mirror.asked();

    let second = stage.play(&words).well();
    assert_eq!(
        recap(&second.stdout),
        ["one : ok=17 changed=0 unreachable=0 failed=0 skipped=0 rescued=0 ignored=0"],
        "{second:?}"
    );
    // A key that is trusted is still looked at; what is there whole is not fetched again.
    let asked = mirror.asked();
    assert!(asked.contains(&"GET apt/key.gpg".to_owned()) && !asked.iter().any(|it| it.contains("pool")), "{asked:?}");
}
