//! Playbooks: carried out as ansible-playbook carries them out, and what is said about those that cannot be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use ryo::playbook::configuration;
use ryo::playbook::reading::Reading;
use ryo::playbook::{self, Known, Source};
use serde_json::{Map, Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-fixtures/playbook-engine")
}

/// Every file below `directory` with its mode and its text, the directory's own name left out.
fn tree(directory: &Path) -> Value {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            let mode = format!("{:04o}", fs::metadata(&path).unwrap().permissions().mode() & 0o7777);
            let text = fs::read_to_string(&path).unwrap().replace(&directory.display().to_string(), "OUT");
            found.insert(name, json!({ "mode": mode, "text": text }));
        }
    }
    json!(found)
}

/// Reads `host : ok=1 changed=0 …` lines.
fn recap(text: &str) -> Value {
    let mut hosts = Map::new();
    for line in text.lines() {
        let Some((host, counts)) = line.split_once(':').filter(|(_, counts)| counts.trim().starts_with("ok=")) else {
            continue;
        };
        let pairs = counts.split_whitespace().filter_map(|pair| pair.split_once('='));
        let counts: Map<String, Value> =
            pairs.map(|(key, count)| (key.to_owned(), json!(count.parse::<u64>().unwrap()))).collect();
        hosts.insert(host.trim().to_owned(), Value::Object(counts));
    }
    Value::Object(hosts)
}

/// What comes of a case with some flags more.
fn outcome(case: &str, flags: &str) -> (Value, String) {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("inventory")).unwrap();
    let place = fixtures().join(case);
    let ran = Command::new(env!("CARGO_BIN_EXE_ryo"))
        .args(["play", "-i"])
        .arg(fixtures().join("hosts.ini"))
        .args(["-e", &format!("out={}", out.path().display()), "-e", "extra=extra"])
        .args(flags.replace("OUT", &out.path().display().to_string()).split_whitespace())
        .arg("site.yml")
        .current_dir(&place)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let got = json!({ "recap": recap(&text), "failed": !ran.status.success(), "files": tree(out.path()) });
    (got, format!("{text}\n{}", String::from_utf8_lossy(&ran.stderr)))
}

/// Holds a case to what `tests/differential/engine/make` recorded of the real Ansible, once for each line of `flags`.
fn plays_as_ansible(case: &str) {
    let place = fixtures().join(case);
    let expected: Value = serde_json::from_str(&fs::read_to_string(place.join("expected.json")).unwrap()).unwrap();
    let Ok(lines) = fs::read_to_string(place.join("flags")) else {
        let (got, said) = outcome(case, "");
        assert_eq!(got, expected, "{said}");
        return;
    };
    for line in lines.lines() {
        let (got, said) = outcome(case, line);
        assert_eq!(got, expected[line], "{case} {line}\n{said}");
    }
}

#[test]
fn tags_choose_tasks_as_in_ansible() {
    plays_as_ansible("tags");
}

#[test]
fn values_are_what_they_are_in_ansible() {
    plays_as_ansible("values");
}

#[test]
fn what_is_known_late_is_read_late_as_in_ansible() {
    plays_as_ansible("late");
}

#[test]
fn files_of_variables_are_named_by_facts() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let play = "- hosts: localhost\n  vars_files: [\"{{ ansible_system | lower }}.yml\"]\n  tasks:\n\
        \x20   - copy: { dest: \"{{ playbook_dir }}/got\", content: \"{{ of_family }}\", mode: '0644' }\n";
    write("site.yml", play);
    write("linux.yml", "of_family: it is {{ ansible_system }}\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ryo"));
    let ran = command.args(["play", "site.yml"]).current_dir(place.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert_eq!(fs::read_to_string(place.path().join("got")).unwrap(), "it is Linux");
}

/// Ansible ends there, too, but says no recap.
#[test]
fn a_notification_that_nobody_answers_to_is_a_failure() {
    let place = tempfile::tempdir().unwrap();
    let play = "- hosts: localhost\n  gather_facts: false\n  vars: { wanted: nobody }\n  tasks:\n\
        \x20   - shell: echo 1 >>log\n      notify: somebody\n\
        \x20   - shell: echo 2 >>log\n      notify: \"{{ wanted }}\"\n\
        \x20   - shell: echo 3 >>log\n\
        \x20 handlers:\n    - name: somebody\n      shell: echo somebody >>log\n";
    fs::write(place.path().join("site.yml"), play.replace(">>log", &format!(">>{}/log", place.path().display())))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ryo"));
    let ran = command.args(["play", "site.yml"]).current_dir(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("site.yml:7:7: there is no handler `nobody`"), "{said}");
    assert_eq!(fs::read_to_string(place.path().join("log")).unwrap(), "1\n2\n");
}

#[test]
fn tasks_and_tags_are_listed_as_in_ansible() {
    let place = fixtures().join("tags");
    let listed: Map<String, Value> =
        serde_json::from_str(&fs::read_to_string(place.join("listed.json")).unwrap()).unwrap();
    for (flags, expected) in &listed {
        let ran = Command::new(env!("CARGO_BIN_EXE_ryo"))
            .args(["play", "site.yml"])
            .args(flags.split_whitespace())
            .current_dir(&place)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), expected.as_str().unwrap().trim(), "{flags}");
    }
}

#[test]
fn an_encrypted_file_without_its_password_is_named_and_what_it_holds_is_never_told() {
    let place = fixtures().join("vault");
    let play = |site: &str, flags: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_ryo"))
            .args(["play", "-i"])
            .arg(fixtures().join("hosts.ini"))
            .args(flags)
            .arg(site)
            .current_dir(&place)
            .output()
            .unwrap();
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    let run = |flags: &[&str]| play("leak.yml", flags);
    let closed = run(&[]);
    let place_of = "group_vars/all/secret.yml: encrypted by ansible-vault: its password must be given";
    assert!(closed.contains(place_of), "{closed}");
    let wrong = run(&["--vault-password-file", "other"]);
    assert!(wrong.contains("encrypted by ansible-vault: no password that was given opens it"), "{wrong}");
    let told = run(&["--vault-password-file", "password"]);
    assert!(told.contains("it is ********"), "{told}");
    for shown in ["play of ********", "task of ********", "one of ********"] {
        assert!(told.contains(shown), "{shown}: {told}");
    }
    assert!(!told.contains("secret of") && !told.contains("secret inline"), "{told}");
    // Nor is it told by what is wrong with a playbook, or by where nobody answers.
    for (site, told) in
        [("wrong.yml", "`serial` is `********`"), ("away.yml", "because: cannot reach `********` on port 22")]
    {
        let said = play(site, &["--vault-password-file", "password"]);
        assert!(said.contains(told) && !said.contains("secret inline"), "{said}");
    }
}

#[test]
fn ansible_cfg_counts_and_the_environment_wins_over_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ansible.cfg");
    let text =
        "[defaults]\nroles_path = a:/b\n# forks = 9\nforks=7 ; as many\ninventory = hosts\n[other]\nremote_user = no\n";
    fs::write(&file, text).unwrap();
    let environment = |name: &str| (name == "ANSIBLE_REMOTE_USER").then(|| "somebody".to_owned());
    let read = configuration::read(Some(&file), &environment).unwrap();
    let expected = configuration::Configuration {
        roles: vec![directory.path().join("a"), PathBuf::from("/b")],
        inventory: vec![directory.path().join("hosts").display().to_string()],
        user: Some("somebody".to_owned()),
        forks: Some(7),
        ..configuration::Configuration::default()
    };
    assert_eq!(read, expected);
    let merging = |name: &str| (name == "ANSIBLE_HASH_BEHAVIOUR").then(|| "merge".to_owned());
    let refused = configuration::read(None, &merging).unwrap_err();
    assert_eq!(refused.message, "`hash_behaviour = merge` is not supported: use the filter `combine`");
    fs::write(
        &file,
        "[defaults]\nansible_managed = by {file}, %Y\njinja2_native = no\n[privilege_escalation]\nbecome = yes\n",
    )
    .unwrap();
    let refused = configuration::read(Some(&file), &|_| None).unwrap_err();
    assert_eq!(refused.message, "`become = yes` is not supported: write `become: true` into the play");
    let unset = |name: &str| (name == "ANSIBLE_BECOME").then(|| "false".to_owned());
    let read = configuration::read(Some(&file), &unset).unwrap();
    assert_eq!(read.managed.as_deref(), Some("by {file}, %Y"));
}

#[test]
fn a_byte_that_is_no_text_is_told_with_its_place() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("site.yml");
    fs::write(&file, b"- hosts: localhost\n  name: gr\xc3\xbcn \xff\n").unwrap();
    let problems = playbook::check(&file, &Known::default());
    let told: Vec<String> =
        problems.iter().map(|it| format!("{}:{} {}", it.place.line, it.place.column, it.message)).collect();
    assert_eq!(told, ["2:14 not UTF-8: the byte 0xff"]);
}

#[test]
fn templates_are_told_who_manages_their_files() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    write("ansible.cfg", "[defaults]\nansible_managed = by {file}, %Y\n");
    write("t.j2", "{{ ansible_managed }}\n");
    let task = "template: { src: t.j2, dest: \"{{ playbook_dir }}/got\", mode: '0644' }";
    write("site.yml", &format!("- hosts: localhost\n  gather_facts: false\n  tasks:\n    - {task}\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ryo"));
    let ran = command.args(["play", "site.yml"]).current_dir(place.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    let got = fs::read_to_string(place.path().join("got")).unwrap();
    assert!(got.starts_with("by t.j2, 20") && got.len() == "by t.j2, 2026\n".len(), "{got}");
}

#[test]
fn what_is_asked_for_must_be_given_where_nobody_can_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let site = "- hosts: localhost\n  gather_facts: false\n  vars_prompt:\n    - {name: given, prompt: Which}\n    \
                - {name: kept, default: default}\n  tasks:\n    - debug: {msg: \"{{ given }} {{ kept }}\"}\n";
    fs::write(directory.path().join("site.yml"), site).unwrap();
    let run = |flags: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_ryo"))
            .args(["play", "site.yml"])
            .args(flags)
            .current_dir(directory.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    assert!(run(&[]).contains("site.yml:4:7: `given` is asked for: give it with `-e given=…`"), "{}", run(&[]));
    assert!(run(&["-e", "given=one"]).contains("\"msg\": \"one default\""), "{}", run(&["-e", "given=one"]));
}

#[test]
fn includes_are_read_when_they_are_reached_as_in_ansible() {
    plays_as_ansible("includes");
}

#[test]
fn batches_and_limits_end_as_in_ansible() {
    plays_as_ansible("batches");
    plays_as_ansible("fatal");
}

#[test]
fn keywords_mean_what_they_mean_in_ansible() {
    plays_as_ansible("keywords");
}

#[test]
fn lookups_make_loops_as_in_ansible() {
    plays_as_ansible("with");
}

#[test]
fn hosts_and_groups_are_added_as_in_ansible() {
    plays_as_ansible("dynamic");
}

#[test]
fn encrypted_files_are_read_as_in_ansible() {
    plays_as_ansible("vault");
}

#[test]
fn variables_win_over_each_other_as_in_ansible() {
    plays_as_ansible("precedence");
}

#[test]
fn conditions_results_and_failures_are_those_of_ansible() {
    plays_as_ansible("control");
}

#[test]
fn handlers_run_when_and_in_the_order_that_ansible_runs_them() {
    plays_as_ansible("handlers");
}

#[test]
fn handlers_are_notified_item_by_item_as_in_ansible() {
    plays_as_ansible("notify");
}

#[test]
fn keywords_that_are_omitted_are_those_around_as_in_ansible() {
    plays_as_ansible("omit");
}

#[test]
fn facts_are_there_wherever_they_are_in_ansible() {
    let text = fs::read_to_string(fixtures().join("facts/expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let (got, said) = outcome("facts", "");
    // It counts the gathering as a task.
    assert_eq!((&got["failed"], &got["files"]), (&expected["failed"], &expected["files"]), "{said}");
}

#[test]
fn blocks_rescue_and_end_as_in_ansible() {
    plays_as_ansible("blocks");
}

#[test]
fn loops_leave_behind_what_they_leave_in_ansible() {
    plays_as_ansible("loops");
}

#[test]
fn roles_are_found_ordered_and_rendered_as_in_ansible() {
    plays_as_ansible("roles");
}

#[test]
fn roles_that_tasks_bring_bring_handlers_and_dependencies_as_in_ansible() {
    plays_as_ansible("bring");
}

#[test]
fn a_role_runs_again_where_ansible_runs_it_again() {
    plays_as_ansible("again");
}

#[test]
fn what_roles_and_includes_are_given_is_as_strong_as_in_ansible() {
    plays_as_ansible("strength");
}

#[test]
fn roles_see_what_those_have_that_brought_them_as_in_ansible() {
    plays_as_ansible("chain");
}

#[test]
fn arguments_of_roles_are_held_to_their_specification_as_in_ansible() {
    plays_as_ansible("arguments");
}

#[test]
fn names_of_plays_and_tasks_are_rendered_where_they_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let site = "- name: 'On {{ host_id }} with {{ from_file }} and {{ own }}'\n  hosts: '{{ where }}'\n  \
                vars: {own: vars}\n  vars_files: ['{{ file }}.yml']\n  tasks:\n    \
                - {name: 'Task of {{ from_file }}', debug: {msg: x}}\n    - {name: 'Task of {{ nobody }}', debug: {msg: x}}\n\
                - {name: 'On {{ nobody }}', hosts: localhost, tasks: []}\n\
                - {hosts: '{{ where }}', tasks: []}\n";
    fs::write(directory.path().join("site.yml"), site).unwrap();
    fs::write(directory.path().join("more.yml"), "from_file: a file\nhost_id: weaker\n").unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_ryo"))
        .args(["play", "site.yml", "-e", "host_id=host-1 where=localhost file=more"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    let titles: Vec<&str> = text
        .lines()
        .filter_map(|line| line.rsplit_once("] *")?.0.split_once('['))
        .map(|it| it.1.trim_end_matches(|c| "]* ".contains(c)))
        .collect();
    let expected =
        ["On host-1 with a file and vars", "Task of a file", "Task of {{ nobody }}", "On {{ nobody }}", "localhost"];
    assert_eq!(titles, expected, "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
}

/// Writes files and checks `site.yml` among them. Problems come back with the directory's name left out.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let known = Known { inventory: vec![Source::Names("host-1,".to_owned())], ..Known::default() };
    let base = format!("{}/", directory.path().display());
    let found = playbook::check(&directory.path().join("site.yml"), &known);
    found.iter().map(|problem| problem.to_string().replace(&base, "")).collect()
}

#[test]
fn a_good_playbook_has_no_problems() {
    let site = "- hosts: all\n  vars: {a: 1}\n  roles: [web]\n  tasks:\n    - debug: msg=\"{{ a }} {{ b | default('x') }}\"\n    - command: echo\n      register: r\n    - debug: var=r.stdout\n      when: r is changed and ansible_default_ipv4.interface == 'eth0'\n";
    let tasks = "- template: {src: a.j2, dest: /a, mode: 0644}\n";
    assert_eq!(
        problems(&[("site.yml", site), ("roles/web/tasks/main.yml", tasks), ("roles/web/templates/a.j2", "{{ a }}\n")]),
        Vec::<String>::new()
    );
}

#[test]
fn every_problem_of_a_playbook_is_named_with_its_place() {
    let site = "\
- hosts: all
  rolls: []
  roles: [web, gone]
  vars_files: [missing.yml]
  tasks:
    - coppy: src=a dest=/b
    - file: {path: /a, stat: directory}
    - shell: echo a
      whne: true
    - debug: msg='{{ a | upcase }}'
    - debug: msg='{{ a + }}'
    - command: echo
      when: 'a =='
    - copy: {src: nothere, dest: /x}
    - command: echo
      notify: nobody
    - command: echo
      debugger: always
";
    let tasks =
        "- template: {src: a.j2, dest: /a}\n- template: {src: b.j2, dest: /a}\n- template: {src: none.j2, dest: /a}\n";
    let files = [
        ("site.yml", site),
        ("roles/web/tasks/main.yml", tasks),
        ("roles/web/templates/a.j2", "x\n{% if a %}\n"),
        ("roles/web/templates/b.j2", "{{ 'x' | nofilter }}\n"),
    ];
    let expected = [
        "roles/web/tasks/main.yml:3:19: there is no template `none.j2`: `roles/web/templates/none.j2` is not there",
        "roles/web/templates/a.j2:2:9: unexpected end of input, expected end of block",
        "roles/web/templates/b.j2:1:10: there is no filter `nofilter`",
        "site.yml:2:3: a play has no keyword `rolls` (did you mean `roles`?)",
        "site.yml:3:16: there is no role `gone` in `roles/gone` or `gone`",
        "site.yml:4:16: `missing.yml` is not there",
        "site.yml:6:7: there is no module `coppy` (did you mean `copy`?)",
        "site.yml:7:30: `file` has no parameter `stat` (did you mean `state`?)",
        "site.yml:9:7: a task has no keyword `whne` (did you mean `when`?)",
        "site.yml:10:14: there is no filter `upcase`",
        "site.yml:11:14: the template cannot be read: unexpected end of variable block",
        "site.yml:13:13: the condition `a ==` cannot be read: unexpected end of input, expected expression",
        "site.yml:14:19: there is no file `nothere`: `files/nothere` is not there",
        "site.yml:16:15: there is no handler `nobody`",
        "site.yml:18:7: `debugger` is not supported",
    ];
    assert_eq!(problems(&files), expected);
}

#[test]
fn names_that_nothing_defines_are_problems() {
    let site = "- hosts: all\n  tasks:\n    - template: {src: a.j2, dest: '/{{ where }}'}\n      when: flag\n";
    let expected = [
        "site.yml:3:35: `where` is undefined",
        "site.yml:4:13: `flag` is undefined",
        "templates/a.j2:2:4: `domain` is undefined",
    ];
    assert_eq!(problems(&[("site.yml", site), ("templates/a.j2", "x\n{{ domain }} {{ x | default(1) }}\n")]), expected);
}

#[test]
fn what_included_roles_bring_is_known_before_a_run() {
    let site = "- hosts: all\n  tasks:\n    - include_role: {name: web, public: true}\n    - shell: echo {{ port }} {{ base_port }}\n\
                \x20     notify: [restart web, restart base, nobody]\n";
    let files = [
        ("site.yml", site),
        ("roles/web/meta/main.yml", "dependencies: [{role: base, word: '{{ port }}'}]\n"),
        ("roles/web/defaults/main.yml", "port: 80\n"),
        ("roles/web/handlers/main.yml", "- name: restart web\n  shell: echo {{ port }} {{ gone }}\n"),
        ("roles/base/defaults/main.yml", "base_port: 80\n"),
        ("roles/base/tasks/main.yml", "- shell: echo {{ word }} {{ port }} {{ base_port }}\n"),
        ("roles/base/handlers/main.yml", "- name: restart base\n  command: 'true'\n"),
    ];
    let expected =
        ["roles/web/handlers/main.yml:2:10: `gone` is undefined", "site.yml:5:43: there is no handler `nobody`"];
    assert_eq!(problems(&files), expected);
}

#[test]
fn roles_that_need_each_other_are_told() {
    let files = [
        ("site.yml", "- hosts: all\n  roles: [a]\n"),
        ("roles/a/meta/main.yml", "dependencies: [b]\n"),
        ("roles/b/meta/main.yml", "dependencies: [a]\n"),
    ];
    let expected = ["roles/b/meta/main.yml:1:16: roles include or depend on each other without end"];
    assert_eq!(problems(&files), expected);
}

#[test]
fn the_inputs_of_a_playbook_are_all_that_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("site.yml", "- hosts: all\n  vars_files: ['{{ which }}.yml']\n  roles: [web]\n"),
        ("one.yml", "a: 1\n"),
        ("roles/web/tasks/main.yml", "- copy: {src: /dev/null, dest: /a}\n- import_tasks: more.yml\n"),
        ("roles/web/tasks/more.yml", "- debug: msg=x\n"),
        ("roles/web/files/unused", "x"),
    ];
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let extra_vars = Map::from_iter([("which".to_owned(), json!("one"))]);
    let found =
        playbook::inputs(&directory.path().join("site.yml"), &Known { extra_vars, ..Known::default() }).unwrap();
    let names: Vec<String> =
        found.iter().map(|path| path.strip_prefix(directory.path()).unwrap_or(path).display().to_string()).collect();
    assert_eq!(
        names,
        [
            "/dev/null",
            "one.yml",
            "roles/web/files/unused",
            "roles/web/tasks/main.yml",
            "roles/web/tasks/more.yml",
            "site.yml"
        ]
    );
}

#[test]
fn extra_variables_come_as_pairs_json_or_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "a: yes\n").unwrap();
    let read = |text: &str| Value::Object(playbook::extra_vars(text, &Reading::default()).unwrap());
    assert_eq!(read("a=1 b='x y' c="), json!({ "a": "1", "b": "x y", "c": "" }));
    assert_eq!(read(r#"{"a": 1, "b": [true]}"#), json!({ "a": 1, "b": [true] }));
    assert_eq!(read(&format!("@{}", file.path().display())), json!({ "a": true }));
    let refused = playbook::extra_vars("a=1 b", &Reading::default()).unwrap_err();
    assert_eq!(refused.message, "`b` is not `name=value`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-a-z:{}'\" \n|\\[\\]0-9%]{0,120}") {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.yml");
        fs::write(&path, format!("- hosts: all\n  tasks:\n    - {text}\n")).unwrap();
        let _ = playbook::check(&path, &Known::default());
        fs::write(&path, &text).unwrap();
        let _ = playbook::check(&path, &Known { inventory: vec![Source::File(path.clone())], ..Known::default() });
    }
}
