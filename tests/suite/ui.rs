//! Events → what is read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ryo::event::{Event, Events, HostRecap, TaskStatus};
use ryo::failure::{Failure, Kind};
use ryo::ui::{self, Colours, Format, Streams, Ui};
use serde_json::json;

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that cannot be written to.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn screen(format: Format, colours: Colours) -> (Ui, Events, Written, Written) {
    let (results, talk) = (Written::default(), Written::default());
    let streams = Streams {
        results: Box::new(results.clone()),
        talk: Box::new(talk.clone()),
        result_colours: colours,
        talk_colours: colours,
        columns: 0,
    };
    let (ui, events) = Ui::on(format, streams);
    (ui, events, results, talk)
}

fn done(status: TaskStatus, item: Option<&str>, message: Option<&str>) -> Event {
    Event::TaskDone {
        host: "web".to_owned(),
        task: "install".to_owned(),
        item: item.map(str::to_owned),
        status,
        message: message.map(str::to_owned),
        diff: None,
        took: 12,
    }
}

fn recap() -> Event {
    let quiet = HostRecap { host: "db".to_owned(), ok: 12, skipped: 1, ..HostRecap::default() };
    let busy = HostRecap { host: "web".to_owned(), ok: 3, changed: 2, failed: 1, ignored: 1, ..HostRecap::default() };
    Event::Recap { hosts: vec![quiet, busy] }
}

#[test]
fn a_deployment_without_a_terminal_is_one_line_for_each_thing() {
    let (_, events, results, talk) = screen(Format::Plain, Colours::Off);
    let title = || "create instance web".to_owned();
    events.emit(Event::Looking { what: "host `local`".to_owned() });
    events.emit(Event::StepStarted { number: 1, total: 12, title: title() });
    events.emit(Event::StepProgress { number: 1, message: "copying".to_owned(), percent: Some(40) });
    events.emit(Event::StepProgress { number: 1, message: "starting".to_owned(), percent: None });
    events.emit(Event::StepDone { number: 1, title: title(), took: 1_250 });
    events.emit(Event::StepFailed { number: 1, title: title(), took: 61_999 });
    events.warn("the clock of the host is wrong");
    assert_eq!(results.text(), "");
    assert_eq!(
        talk.text(),
        "looking at host `local`\n\
         [1/12] create instance web\n\
         [1] copying 40%\n\
         [1] starting\n\
         [1] done: create instance web (1.2 s)\n\
         [1] failed: create instance web (1 min 1 s)\n\
         warning: the clock of the host is wrong\n"
    );
}

#[test]
fn a_playbook_reads_as_ansibles() {
    let (_, events, results, talk) = screen(Format::Plain, Colours::Off);
    events.emit(Event::PlayStarted { name: "Set up".to_owned() });
    events.emit(Event::TaskStarted { name: "nginx : install".to_owned(), handler: false });
    events.emit(done(TaskStatus::Ok, None, None));
    events.emit(done(TaskStatus::Changed, None, None));
    events.emit(done(TaskStatus::Changed, Some("a"), None));
    events.emit(done(TaskStatus::Skipped, None, Some("condition was false")));
    events.emit(done(TaskStatus::Skipped, Some("b"), None));
    events.emit(done(TaskStatus::Ok, None, Some("say \"it\"")));
    events.emit(done(TaskStatus::Failed, None, Some("no such package")));
    events.emit(done(TaskStatus::Failed, Some("c"), Some("no such package")));
    events.emit(done(TaskStatus::Ignored, None, Some("rc 1")));
    events.emit(done(TaskStatus::Unreachable, None, Some("lost")));
    events.emit(Event::TaskStarted { name: "restart".to_owned(), handler: true });
    events.emit(recap());
    assert_eq!(talk.text(), "");
    let stars = |count: usize| "*".repeat(count);
    assert_eq!(
        results.text(),
        [
            String::new(),
            format!("PLAY [Set up] {}", stars(66)),
            String::new(),
            format!("TASK [nginx : install] {}", stars(57)),
            "ok: [web]".to_owned(),
            "changed: [web]".to_owned(),
            "changed: [web] => (item=a)".to_owned(),
            "skipping: [web]".to_owned(),
            "skipping: [web] => (item=b)".to_owned(),
            "ok: [web] => {\n    \"msg\": \"say \\\"it\\\"\"\n}".to_owned(),
            "fatal: [web]: FAILED! => no such package".to_owned(),
            "failed: [web] (item=c) => no such package".to_owned(),
            "fatal: [web]: FAILED! => rc 1".to_owned(),
            "...ignoring".to_owned(),
            "fatal: [web]: UNREACHABLE! => lost".to_owned(),
            String::new(),
            format!("RUNNING HANDLER [restart] {}", stars(54)),
            String::new(),
            format!("PLAY RECAP {}", stars(69)),
            "db                         : ok=12   changed=0    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0   ".to_owned(),
            "web                        : ok=3    changed=2    unreachable=0    failed=1    skipped=0    rescued=0    ignored=1   ".to_owned(),
            "\n".to_owned(),
        ]
        .join("\n")
    );
}

#[test]
fn a_diff_stands_before_its_task() {
    let (_, events, results, _) = screen(Format::Plain, Colours::Off);
    events.emit(Event::TaskDone {
        host: "web".to_owned(),
        task: "file".to_owned(),
        item: None,
        status: TaskStatus::Changed,
        message: None,
        diff: Some("--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b\n".to_owned()),
        took: 1,
    });
    assert_eq!(results.text(), "--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b\n\nchanged: [web]\n");
}

#[test]
fn colours_are_those_of_ansible() {
    let (_, events, results, talk) = screen(Format::Plain, Colours::On);
    events.emit(done(TaskStatus::Ok, None, None));
    events.emit(done(TaskStatus::Changed, None, None));
    events.emit(done(TaskStatus::Skipped, None, None));
    events.emit(done(TaskStatus::Failed, None, Some("no")));
    events.warn("careful");
    let host = HostRecap { host: "web".to_owned(), ok: 1, ..HostRecap::default() };
    events.emit(Event::Recap { hosts: vec![host] });
    let stars = "*".repeat(69);
    assert_eq!(
        results.text(),
        format!(
            "\x1b[0;32mok: [web]\x1b[0m\n\x1b[0;33mchanged: [web]\x1b[0m\n\x1b[0;36mskipping: [web]\x1b[0m\n\
             \x1b[0;31mfatal: [web]: FAILED! => no\x1b[0m\n\nPLAY RECAP {stars}\n\
             \x1b[0;32mweb                       \x1b[0m : \x1b[0;32mok=1   \x1b[0m changed=0    unreachable=0    \
             failed=0    skipped=0    rescued=0    ignored=0   \n\n"
        )
    );
    assert_eq!(talk.text(), "\x1b[0;33mwarning:\x1b[0m careful\n");
}

#[test]
fn json_is_one_object_a_line_and_one_for_the_end() {
    let (ui, events, results, talk) = screen(Format::Json, Colours::Off);
    events.emit(Event::StepStarted { number: 1, total: 2, title: "build".to_owned() });
    events.emit(done(TaskStatus::Changed, Some("a\nb"), None));
    events.warn("careful");
    ui.print("for people only");
    ui.result(&json!({ "images": 2 }), "2 images");
    ui.failed(&Failure::new(Kind::Identity, io::Error::other("no")).hint("try"));
    assert_eq!(talk.text(), "");
    assert_eq!(
        results.text(),
        "{\"event\":\"step_started\",\"number\":1,\"total\":2,\"title\":\"build\"}\n\
         {\"event\":\"task_done\",\"host\":\"web\",\"task\":\"install\",\"item\":\"a\\nb\",\"status\":\"changed\",\"message\":null,\"diff\":null,\"took\":12}\n\
         {\"event\":\"warned\",\"message\":\"careful\"}\n\
         {\"event\":\"result\",\"result\":{\"images\":2}}\n\
         {\"event\":\"failed\",\"error\":\"no\",\"because\":[],\"hints\":[\"try\"],\"code\":12}\n"
    );
}

#[test]
fn results_and_talk_have_streams_of_their_own() {
    let (ui, _, results, talk) = screen(Format::Plain, Colours::Off);
    ui.print("the plan");
    ui.talk("by the way");
    ui.result(&json!({ "images": 2 }), "2 images");
    ui.result(&json!({ "images": 0 }), "");
    ui.failed(&Failure::new(Kind::World, io::Error::other("told by the program at its end")));
    assert_eq!((results.text().as_str(), talk.text().as_str()), ("the plan\n2 images\n", "by the way\n"));
    ui.finish().unwrap();
}

#[test]
fn a_reader_that_has_left_is_no_error_and_a_full_disk_is_one() {
    for (kind, outcome) in [(io::ErrorKind::BrokenPipe, None), (io::ErrorKind::StorageFull, Some("no storage space"))] {
        let streams = Streams {
            results: Box::new(Broken(kind)),
            talk: Box::new(Written::default()),
            result_colours: Colours::Off,
            talk_colours: Colours::Off,
            columns: 0,
        };
        let (ui, _) = Ui::on(Format::Plain, streams);
        ui.print("the plan");
        ui.print("more of it");
        assert_eq!(ui.finish().err().map(|error| error.to_string()).as_deref(), outcome);
    }
}

#[test]
fn a_wide_terminal_gets_wide_banners() {
    let results = Written::default();
    let streams = Streams {
        results: Box::new(results.clone()),
        talk: Box::new(Written::default()),
        result_colours: Colours::Off,
        talk_colours: Colours::Off,
        columns: 121,
    };
    Ui::on(Format::Plain, streams).1.emit(Event::PlayStarted { name: "x".repeat(150) });
    assert_eq!(results.text(), format!("\nPLAY [{}] ***\n", "x".repeat(150)));
}

#[test]
fn a_question_that_nobody_can_answer_is_an_error() {
    // The tests' own standard input is no terminal.
    let error = ui::confirm("Deploy 3 changes?", ui::Default::No, "--yes").unwrap_err();
    assert_eq!(error.to_string(), "cannot ask `Deploy 3 changes?`: standard input is no terminal");
    let ui::Error::NoTerminal { flag, .. } = error else { panic!("{error:?}") };
    assert_eq!(flag, "--yes");
}

#[test]
fn what_a_terminal_would_obey_is_shown_instead() {
    let table = [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
        ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
        ("a\rb\u{8}", "a\\rb\\u{8}"),
        ("\u{1b}[2J\u{9b}1m \u{1b}[1", "\\u{1b}[2J\\u{9b}1m \\u{1b}[1"),
        ("grün ☃", "grün ☃"),
    ];
    for (text, shown) in table {
        assert_eq!(ryo::ui::visible(text), shown);
    }
}
