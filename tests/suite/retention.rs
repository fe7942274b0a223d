//! Which backups stay, as a table: the rules, and what holds whatever the rules say.

use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ryo::archive::Compression;
use ryo::flow::backup::catalogue::{Backup, Catalogue, Choice, Made, State};
use ryo::flow::backup::manifest::Archive;
use ryo::flow::backup::record::About;
use ryo::flow::backup::retention::{Fate, Policy, Within, decide};

fn seconds(time: &str) -> u64 {
    let time: DateTime = time.parse().unwrap();
    time.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second().try_into().unwrap()
}

/// A backup whose stamp is its time.
fn of(id: &str, time: &str, made: Made, state: State) -> Backup {
    let (host, kind) = ("web".to_owned(), Some("project".to_owned()));
    let about = About { host, kind, id: id.to_owned(), stamp: time.to_owned(), when: seconds(time) };
    let archive = PathBuf::from(format!("/b/backup-web-{id}-{time}.tar.gz")).into();
    let file = String::new();
    let known = Some(Archive { file, compression: Compression::Gzip, size: 1, sha256: String::new() });
    Backup { archive, about: Some(about), made, size: 1, written: (0, 0), known, state }
}

fn whole(id: &str, time: &str) -> Backup {
    of(id, time, Made::Ryo, State::Whole)
}

fn damaged(id: &str, time: &str) -> Backup {
    of(id, time, Made::Ryo, State::Damaged("cut".to_owned()))
}

/// In the order of a catalogue.
fn catalogue(mut backups: Vec<Backup>) -> Catalogue {
    let key = |it: &Backup| it.about.as_ref().map(|it| (it.id.clone(), std::cmp::Reverse(it.when)));
    backups.sort_by_key(key);
    Catalogue { backups, ..Catalogue::default() }
}

fn told(catalogue: &Catalogue, choice: &Choice, policy: &Policy, originals: bool) -> Vec<String> {
    let fates = decide(catalogue, choice, policy, originals, &TimeZone::UTC, seconds("2026-12-31T00:00"));
    let line = |(backup, fate): (&Backup, Fate)| {
        let about = backup.about.as_ref().unwrap();
        let fate = match fate {
            Fate::Stay(reasons) => reasons.join(", "),
            Fate::Go(reason) => format!("- {reason}"),
        };
        format!("{} {}: {fate}", about.id, about.stamp)
    };
    fates.into_iter().map(line).collect()
}

fn by_rules(times: &[&str], policy: &Policy) -> Vec<String> {
    let catalogue = catalogue(times.iter().map(|time| whole("a", time)).collect());
    let mut told = told(&catalogue, &Choice::default(), policy, false);
    told.retain(|line| !line.contains(": - "));
    told.iter().map(|line| line.trim_start_matches("a 2026-").to_owned()).collect()
}

#[test]
fn the_newest_of_each_day_week_and_month_that_has_one_stays() {
    let times = [
        "2026-11-23T03:00",
        "2026-11-23T15:00",
        "2026-11-21T03:00",
        "2026-11-16T03:00",
        "2026-11-15T03:00",
        "2026-11-01T03:00",
        "2026-10-31T23:59",
        "2026-10-01T03:00",
        "2026-09-01T03:00",
        "2026-08-31T03:00",
    ];
    let daily = Policy { daily: 3, ..Policy::default() };
    assert_eq!(by_rules(&times, &daily), ["11-23T15:00: daily", "11-21T03:00: daily", "11-16T03:00: daily"]);
    // The 15th of November 2026 is a Sunday, the 16th begins a week.
    let weekly = Policy { weekly: 3, ..Policy::default() };
    assert_eq!(by_rules(&times, &weekly), ["11-23T15:00: weekly", "11-21T03:00: weekly", "11-15T03:00: weekly"]);
    let monthly = Policy { monthly: 2, ..Policy::default() };
    assert_eq!(by_rules(&times, &monthly), ["11-23T15:00: monthly", "10-31T23:59: monthly"]);
    let several = Policy { last: 2, daily: 1, weekly: 1, monthly: 3, ..Policy::default() };
    assert_eq!(
        by_rules(&times, &several),
        [
            "11-23T15:00: last, daily, weekly, monthly",
            "11-23T03:00: last",
            "10-31T23:59: monthly",
            "09-01T03:00: monthly"
        ]
    );
}

#[test]
fn a_rule_that_still_has_room_keeps_the_oldest() {
    let times = ["2026-11-23T03:00", "2026-11-22T15:00", "2026-11-22T03:00"];
    let policy = Policy { daily: 3, ..Policy::default() };
    assert_eq!(by_rules(&times, &policy), ["11-23T03:00: daily", "11-22T15:00: daily", "11-22T03:00: oldest daily"]);
}

#[test]
fn within_counts_from_the_newest_backup_that_is_not_of_the_future() {
    let within = |text: &str| Policy { within: Some(text.parse::<Within>().unwrap()), ..Policy::default() };
    let times = ["2026-11-30T00:00", "2026-11-16T00:01", "2026-11-16T00:00", "2026-05-30T00:00", "2025-01-01T00:00"];
    assert_eq!(by_rules(&times, &within("14d")), ["11-30T00:00: within 14d", "11-16T00:01: within 14d"]);
    assert_eq!(by_rules(&times, &within("6m1h")).len(), 4);
    // One from the future stays, and does not shift the others out.
    let times = ["2027-06-01T00:00", "2026-11-30T00:00", "2026-11-20T00:00"];
    let yet = "a 2027-06-01T00:00: from a time that is yet to come";
    assert_eq!(by_rules(&times, &within("13d")), [yet, "11-30T00:00: within 13d", "11-20T00:00: within 13d"]);
    // Nor does it take a place, or count as the newest one.
    let last = Policy { last: 1, ..Policy::default() };
    assert_eq!(by_rules(&times, &last), [yet, "11-30T00:00: last"]);
    assert_eq!(by_rules(&times, &Policy::default()), [yet, "11-30T00:00: the last one that is whole"]);
}

#[test]
fn days_are_those_of_the_time_zone() {
    let zone = TimeZone::fixed(jiff::tz::offset(10));
    let catalogue = catalogue(vec![whole("a", "2026-11-23T13:59"), whole("a", "2026-11-23T14:01")]);
    let policy = Policy { daily: 2, last: 1, ..Policy::default() };
    let stays = |zone: &TimeZone| {
        let fates = decide(&catalogue, &Choice::default(), &policy, false, zone, seconds("2026-12-31T00:00"));
        fates.into_iter().map(|(_, fate)| fate).collect::<Vec<_>>()
    };
    let stay = |reasons: &[&str]| Fate::Stay(reasons.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(stays(&zone), [stay(&["last", "daily"]), stay(&["daily"])]);
    assert_eq!(stays(&TimeZone::UTC), [stay(&["last", "daily"]), stay(&["oldest daily"])]);
}

#[test]
fn times_are_read_and_written_as_restic_does() {
    for text in ["1y6m", "14d12h", "9999y", "1y2m3d4h"] {
        assert_eq!(text.parse::<Within>().unwrap().to_string(), text);
    }
    for text in ["", "14", "d", "3w", "0d", "-1d", "1d2", "10000y", "1.5d", "٣d"] {
        assert_eq!(
            text.parse::<Within>().unwrap_err(),
            format!("`{text}` is no time: years, months, days and hours are required, e.g. `1y6m` or `14d12h`")
        );
    }
}

#[test]
fn the_last_good_one_never_goes() {
    let last = Policy { last: 1, ..Policy::default() };
    let all = Choice::default();
    // The newest are damaged: they take no place, and stay as nothing newer does.
    let backups =
        vec![damaged("a", "2026-11-03T00:00"), whole("a", "2026-11-02T00:00"), whole("a", "2026-11-01T00:00")];
    assert_eq!(
        told(&catalogue(backups), &all, &last, false),
        [
            "a 2026-11-03T00:00: nothing newer stays",
            "a 2026-11-02T00:00: last",
            "a 2026-11-01T00:00: - no rule keeps it"
        ]
    );
    // One that is damaged goes when a newer one stays.
    let backups = vec![whole("a", "2026-11-03T00:00"), damaged("a", "2026-11-02T00:00")];
    assert_eq!(
        told(&catalogue(backups), &all, &last, false),
        ["a 2026-11-03T00:00: last", "a 2026-11-02T00:00: - damaged, and a newer one stays"]
    );
    // The newest that was verified stays with newer ones that were not.
    let verified = |time| of("a", time, Made::Ryo, State::Verified(1));
    let backups = vec![whole("a", "2026-11-03T00:00"), verified("2026-11-02T00:00"), verified("2026-11-01T00:00")];
    assert_eq!(
        told(&catalogue(backups), &all, &last, false),
        [
            "a 2026-11-03T00:00: last",
            "a 2026-11-02T00:00: the last one that was verified",
            "a 2026-11-01T00:00: - no rule keeps it"
        ]
    );
    // Everything is damaged: everything stays.
    let backups = vec![damaged("a", "2026-11-02T00:00"), damaged("a", "2026-11-01T00:00")];
    assert_eq!(
        told(&catalogue(backups), &all, &last, false),
        ["a 2026-11-02T00:00: nothing newer stays", "a 2026-11-01T00:00: nothing newer stays"]
    );
    // The rules alone, on originals that nobody has verified, would keep the newest: a good one stays as well.
    let unknown = |time| of("a", time, Made::Original, State::Unknown("it has no manifest".to_owned()));
    let backups = vec![unknown("2026-11-03T00:00"), unknown("2026-11-02T00:00"), whole("a", "2026-11-01T00:00")];
    assert_eq!(
        told(&catalogue(backups), &all, &last, true),
        [
            "a 2026-11-03T00:00: last",
            "a 2026-11-02T00:00: - no rule keeps it",
            "a 2026-11-01T00:00: the last one that is whole"
        ]
    );
}

#[test]
fn what_was_made_in_one_run_stays_or_goes_as_one() {
    let at = |id: &str, time: &str, stamp: &str| {
        let mut backup = whole(id, time);
        backup.about.as_mut().unwrap().stamp = stamp.to_owned();
        backup
    };
    // `m` is backed up with `a` and with `b`, twice a day.
    let backups = || {
        vec![
            at("a", "2026-11-02T01:00", "a2"),
            at("a", "2026-11-01T01:00", "a1"),
            at("m", "2026-11-02T05:00", "b2"),
            at("m", "2026-11-02T01:00", "a2"),
            at("m", "2026-11-01T05:00", "b1"),
            at("m", "2026-11-01T01:00", "a1"),
            at("b", "2026-11-02T05:00", "b2"),
            at("b", "2026-11-01T05:00", "b1"),
        ]
    };
    let last = Policy { last: 1, ..Policy::default() };
    assert_eq!(
        told(&catalogue(backups()), &Choice::default(), &last, false),
        [
            "a a2: last",
            "a a1: - no rule keeps it",
            "b b2: last",
            "b b1: - no rule keeps it",
            "m b2: last",
            "m a2: goes with a",
            "m b1: - no rule keeps it",
            "m a1: - no rule keeps it",
        ]
    );
    // What is not meant stays, and so does what belongs to it.
    let choice = Choice { ids: vec!["a".to_owned(), "m".to_owned()], ..Choice::default() };
    assert_eq!(
        told(&catalogue(backups()), &choice, &last, false),
        [
            "a a2: last",
            "a a1: - no rule keeps it",
            "m b2: last",
            "m a2: goes with a",
            "m b1: goes with b",
            "m a1: - no rule keeps it",
        ]
    );
}

#[test]
fn originals_and_what_nobody_can_tell_stay() {
    let last = Policy { last: 1, ..Policy::default() };
    let unknown = |time, made, why: &str| of("a", time, made, State::Unknown(why.to_owned()));
    let backups = || {
        vec![
            whole("a", "2026-11-03T00:00"),
            unknown("2026-11-02T00:00", Made::Original, "it has no manifest"),
            unknown("2026-11-01T00:00", Made::Ryo, "its manifest cannot be read: gibberish"),
        ]
    };
    assert_eq!(
        told(&catalogue(backups()), &Choice::default(), &last, false),
        [
            "a 2026-11-03T00:00: last",
            "a 2026-11-02T00:00: made by the original",
            "a 2026-11-01T00:00: its manifest cannot be read"
        ]
    );
    assert_eq!(
        told(&catalogue(backups()), &Choice::default(), &last, true),
        [
            "a 2026-11-03T00:00: last",
            "a 2026-11-02T00:00: - no rule keeps it",
            "a 2026-11-01T00:00: its manifest cannot be read"
        ]
    );
    let mut nobody = whole("a", "2026-11-03T00:00");
    nobody.about = None;
    let catalogue = Catalogue { backups: vec![nobody], ..Catalogue::default() };
    let fates = decide(&catalogue, &Choice::default(), &last, true, &TimeZone::UTC, 0);
    assert_eq!(fates[0].1, Fate::Stay(vec!["nobody can tell whose it is".to_owned()]));
}
