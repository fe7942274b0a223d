//! Facts: when they are gathered, as whom, and what waits for them; `async`, which goes on beside the others.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Plays `site.yml` of a directory. Returns the exit code and what was said.
fn played(directory: &Path, site: &str, flags: &[&str]) -> (i32, String) {
    fs::write(directory.join("site.yml"), site).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_ryo"))
        .args(["play", "site.yml"])
        .args(flags)
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    (ran.status.code().unwrap(), said)
}

#[test]
fn facts_are_those_that_the_play_and_not_the_task_would_see() {
    let directory = tempfile::tempdir().unwrap();
    let site = "- hosts: localhost
  tasks:
    - assert: {that: ansible_user_id == 'root'}
      become: true
      become_user: nobody
    - {setup: , become: true, become_user: nobody}
    - assert: {that: ansible_user_id == 'nobody'}
- hosts: localhost
  become: true
  become_user: nobody
  tasks:
    - assert: {that: ansible_user_id == 'nobody'}
      become: false
- hosts: localhost
  gather_facts: false
  tasks:
    - assert: {that: ansible_user_id == 'nobody'}
";
    let (code, said) = played(directory.path(), site, &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn every_play_gathers_facts_anew() {
    let directory = tempfile::tempdir().unwrap();
    let now = "ansible_date_time.iso8601_micro";
    let site = format!(
        "- hosts: localhost
  tasks:
    - set_fact: {{first: '{{{{ {now} }}}}'}}
    - assert: {{that: {now} == first}}
- hosts: localhost
  tasks:
    - set_fact: {{second: \"{{{{ hostvars.localhost.{now} }}}}\"}}
    - assert: {{that: [second != first, {now} == second]}}
- hosts: localhost
  gather_facts: false
  tasks:
    - assert: {{that: {now} == second}}
"
    );
    let (code, said) = played(directory.path(), &site, &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_host_whose_facts_cannot_be_had_is_lost_and_who_asked_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("hosts"),
        "gone ansible_host=127.0.0.1 ansible_port=1 ansible_user=nobody\nhere ansible_connection=local\n",
    )
    .unwrap();
    let site = "- hosts: gone, here
  tasks:
    - debug: {msg: \"it is {{ hostvars.gone.ansible_system | default('away') }}\"}
      when: inventory_hostname == 'here'
    - debug: {msg: only here}
";
    let (code, said) = played(directory.path(), site, &["-i", "hosts"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("it is away"), "{said}");
    assert_eq!(said.matches("only here").count(), 1, "{said}");
    let count =
        |host: &str| said.lines().find(|line| line.starts_with(host) && line.contains("ok=")).unwrap_or_default();
    assert!(count("gone").contains("unreachable=1"), "{said}");
    assert!(count("here").contains("ok=2") && count("here").contains("failed=0"), "{said}");
}

#[test]
fn a_meta_whose_condition_cannot_be_evaluated_ends_everything() {
    let directory = tempfile::tempdir().unwrap();
    let site = "- hosts: localhost
  tasks:
    - meta: end_host
      when: nothing.there
    - debug: {msg: not reached}
- hosts: localhost
  tasks:
    - debug: {msg: nor this}
";
    let (code, said) = played(directory.path(), site, &[]);
    assert_eq!(code, 1, "{said}");
    let why = "site.yml:4:13: the condition `nothing.there` cannot be evaluated: `nothing` is undefined";
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("not reached") && !said.contains("nor this"), "{said}");
}

#[test]
fn a_handler_that_cannot_be_named_fails_the_task_before_it_acts() {
    let directory = tempfile::tempdir().unwrap();
    let site = format!(
        "- hosts: localhost
  gather_facts: false
  tasks:
    - command: touch {}/touched
      notify: restart {{{{ nothing }}}}
",
        directory.path().display()
    );
    let (code, said) = played(directory.path(), &site, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("site.yml:5:15: `nothing` is undefined"), "{said}");
    assert!(!directory.path().join("touched").exists(), "{said}");
}

#[test]
fn a_job_holds_up_nobody_and_goes_on_when_the_run_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let site = format!(
        "- hosts: localhost
  gather_facts: false
  tasks:
    - shell: while [ ! -e {place}/second ]; do sleep 0.1; done; echo done
      async: 60
      poll: 0
      register: first
    - shell: touch {place}/second
      async: 60
      poll: 0
    - async_status: {{jid: '{{{{ first.ansible_job_id }}}}'}}
      register: status
      until: status.finished
      delay: 1
      retries: 30
    - assert: {{that: status.stdout == 'done'}}
    - shell: while [ ! -e {place}/ended ]; do sleep 0.1; done; echo said; touch {place}/afterwards
      async: 60
      poll: 0
    - shell: sleep 60
      async: 1
      poll: 0
      register: long
    - async_status: {{jid: '{{{{ long.ansible_job_id }}}}'}}
      register: status
      until: status.finished
      delay: 1
      retries: 30
      failed_when: false
    - assert: {{that: status.msg == 'the job took longer than 1 seconds'}}
"
    );
    let began = Instant::now();
    let (code, said) = played(directory.path(), &site, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(began.elapsed() < Duration::from_secs(50), "{said}");
    fs::write(directory.path().join("ended"), "").unwrap();
    while !directory.path().join("afterwards").exists() {
        assert!(began.elapsed() < Duration::from_secs(55), "it did not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
}
