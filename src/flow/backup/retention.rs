//! Which backups stay.
//!
//! The rules are those of restic's `forget`, for each host and id by itself, on the time of the backup in the time zone
//! of this computer: the newest of each of the last so many days (ISO weeks, months) *that have a backup*; a rule that
//! still has room keeps the oldest as well; `--keep-within` counts back from the newest backup, not from now.
//!
//! Around them: a backup that is damaged takes no place. What was made in one run (a project and its modules, with one
//! stamp) stays or goes as one, because it belongs together when it is restored. The newest good backup, and the newest
//! that was verified, never go. Backups of the original stay unless they are meant too; so does what nobody can tell.
//!
//! Source: restic, "Removing backup snapshots".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::flow::backup::catalogue::{Backup, Catalogue, Choice, Made, State};

/// What is to stay. All zero: nothing says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The last so many.
    pub last: usize,
    /// The newest of each of the last so many days.
    pub daily: usize,
    /// The newest of each of the last so many weeks.
    pub weekly: usize,
    /// The newest of each of the last so many months.
    pub monthly: usize,
    /// All that are not older than this.
    pub within: Option<Within>,
}

impl Policy {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A time before the newest backup, e.g. `1y6m`, `14d12h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
}

/// Most of a unit: ten thousand years.
const MOST: i64 = 9_999;

impl FromStr for Within {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no time: years, months, days and hours are required, e.g. `1y6m` or `14d12h`");
        let mut within = Self::default();
        for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let (number, unit) = part.split_at(part.len() - part.chars().last().map_or(0, char::len_utf8));
            let number = number.parse().ok().filter(|number| *number <= MOST).ok_or_else(wrong)?;
            let of = match unit {
                "y" => &mut within.years,
                "m" => &mut within.months,
                "d" => &mut within.days,
                "h" => &mut within.hours,
                _ => return Err(wrong()),
            };
            *of = number;
        }
        if within == Self::default() { Err(wrong()) } else { Ok(within) }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.years, 'y'), (self.months, 'm'), (self.days, 'd'), (self.hours, 'h')];
        parts.iter().filter(|(number, _)| *number > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

/// What becomes of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for these reasons.
    Stay(Vec<String>),
    /// It goes, for this reason.
    Go(&'static str),
}

/// Decides what becomes of the backups that `choice` takes. Pure.
///
/// - `originals`: whether those of the original are meant too.
/// - `now`: seconds since 1970. What seems to be from later stays, and takes no place.
pub fn decide<'c>(
    catalogue: &'c Catalogue,
    choice: &Choice,
    policy: &Policy,
    originals: bool,
    zone: &TimeZone,
    now: u64,
) -> Vec<(&'c Backup, Fate)> {
    let chosen: Vec<&Backup> = catalogue.backups.iter().filter(|backup| choice.takes(backup)).collect();
    let mut reasons: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut stays = |turn: usize, reason: &str| reasons.entry(turn).or_default().push(reason.to_owned());
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (turn, backup) in chosen.iter().enumerate() {
        match &backup.about {
            None => stays(turn, "nobody can tell whose it is"),
            Some(_) if backup.made == Made::Original && !originals => stays(turn, "made by the original"),
            Some(_) if backup.made == Made::Ryo && matches!(backup.state, State::Unknown(_)) => {
                stays(turn, "its manifest cannot be read");
            }
            // It would take the place of one that is true, and be the newest for ever.
            Some(about) if about.when > now => stays(turn, "from a time that is yet to come"),
            Some(about) => groups.entry((&about.host, &about.id)).or_default().push(turn),
        }
    }
    for turns in groups.values() {
        let sound: Vec<usize> = turns.iter().copied().filter(|turn| !is_damaged(chosen[*turn])).collect();
        let times: Vec<u64> = sound.iter().map(|turn| when(chosen[*turn])).collect();
        for (turn, why) in sound.iter().zip(kept(policy, &times, zone)) {
            for reason in why {
                stays(*turn, &reason);
            }
        }
    }
    for turns in groups.values() {
        last_ones(&chosen, turns, &mut reasons);
    }
    together(catalogue, &chosen, originals, &mut reasons);
    let fate = |(turn, backup): (usize, &'c Backup)| {
        let gone = if is_damaged(backup) { "damaged, and a newer one stays" } else { "no rule keeps it" };
        (backup, reasons.remove(&turn).map_or(Fate::Go(gone), Fate::Stay))
    };
    chosen.into_iter().enumerate().map(fate).collect()
}

fn is_damaged(backup: &Backup) -> bool {
    matches!(backup.state, State::Damaged(_))
}

fn when(backup: &Backup) -> u64 {
    backup.about.as_ref().map_or(0, |about| about.when)
}

/// What was made together with something that stays, stays.
fn together(catalogue: &Catalogue, chosen: &[&Backup], originals: bool, reasons: &mut BTreeMap<usize, Vec<String>>) {
    let run = |backup: &Backup| {
        let about = backup.about.as_ref().filter(|_| backup.made == Made::Ryo || originals)?;
        Some((about.host.clone(), about.stamp.clone(), backup.made))
    };
    let name = |backup: &Backup| backup.about.as_ref().map_or(String::new(), |about| about.id.clone());
    let mut staying: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    // Nothing is decided of what is not meant: it stays.
    let others = catalogue.backups.iter().filter(|it| !chosen.iter().any(|backup| std::ptr::eq(*backup, *it)));
    let kept = chosen.iter().enumerate().filter(|(turn, _)| reasons.contains_key(turn)).map(|(_, backup)| *backup);
    for backup in others.chain(kept).filter(|backup| !is_damaged(backup)) {
        if let Some(run) = run(backup) {
            staying.entry(run).or_default().insert(name(backup));
        }
    }
    for (turn, backup) in chosen.iter().enumerate().filter(|(_, backup)| !is_damaged(backup)) {
        if let Some(with) = run(backup).and_then(|run| staying.get(&run)).filter(|_| !reasons.contains_key(&turn)) {
            let with: Vec<&str> = with.iter().map(String::as_str).collect();
            reasons.entry(turn).or_default().push(format!("goes with {}", with.join(", ")));
        }
    }
}

/// What something is called, and whether the backup of a turn is it.
type Is<'i> = (&'i dyn Fn(usize) -> bool, &'static str);

/// Sees to it that of the backups of one host and id, the newest first, one that is good stays, and one that was verified;
/// if there is none, the newest. What is damaged stays until something newer does.
fn last_ones(chosen: &[&Backup], turns: &[usize], reasons: &mut BTreeMap<usize, Vec<String>>) {
    let verified = |turn: usize| matches!(chosen[turn].state, State::Verified(_));
    let good = |turn: usize| chosen[turn].state.is_good();
    let sound = |turn: usize| !is_damaged(chosen[turn]);
    let kinds: [Is<'_>; 3] = [
        (&verified, "the last one that was verified"),
        (&good, "the last one that is whole"),
        (&sound, "the last one"),
    ];
    for (is, reason) in kinds {
        let of_kind = || turns.iter().copied().filter(|turn| is(*turn));
        if !of_kind().any(|turn| reasons.contains_key(&turn))
            && let Some(newest) = of_kind().next()
        {
            reasons.entry(newest).or_default().push(reason.to_owned());
        }
    }
    let mut newer = false;
    for turn in turns {
        let stays = reasons.contains_key(turn);
        if is_damaged(chosen[*turn]) && !newer {
            reasons.entry(*turn).or_default().push("nothing newer stays".to_owned());
        }
        newer |= stays && sound(*turn);
    }
}

/// How many a rule keeps, what it is called, and which day, week or month the backup of a turn is of.
type Rule<'r> = (usize, &'static str, &'r dyn Fn(usize) -> (i64, i64));

/// Why each of these backups is kept by the rules; nothing if it is not. The newest first.
fn kept(policy: &Policy, times: &[u64], zone: &TimeZone) -> Vec<Vec<String>> {
    let local: Vec<DateTime> = times.iter().map(|time| local(*time, zone)).collect();
    let day = |at: usize| (i64::from(local[at].year()), i64::from(local[at].day_of_year()));
    let week = |at: usize| {
        let week = local[at].date().iso_week_date();
        (i64::from(week.year()), i64::from(week.week()))
    };
    let month = |at: usize| (i64::from(local[at].year()), i64::from(local[at].month()));
    let each = |at: usize| (i64::try_from(at).unwrap_or(0), 0);
    let rules: [Rule<'_>; 4] = [
        (policy.last, "last", &each),
        (policy.daily, "daily", &day),
        (policy.weekly, "weekly", &week),
        (policy.monthly, "monthly", &month),
    ];
    let mut reasons = vec![vec![]; times.len()];
    if let Some(within) = policy.within {
        let from = times.first().copied().and_then(|newest| before(newest, &within, zone));
        for (at, time) in times.iter().enumerate() {
            if from.is_none_or(|from| local_stamp(*time) > from) {
                reasons[at].push(format!("within {within}"));
            }
        }
    }
    for (room, name, of) in rules {
        let (mut room, mut last) = (room, None);
        for (at, reasons) in reasons.iter_mut().enumerate() {
            let value = of(at);
            let is_new = last != Some(value);
            if room > 0 && (is_new || at + 1 == times.len()) {
                reasons.push(if is_new { name.to_owned() } else { format!("oldest {name}") });
                (room, last) = (room - 1, Some(value));
            }
        }
    }
    reasons
}

fn local_stamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|it| Timestamp::from_second(it).ok()).unwrap_or(Timestamp::MAX)
}

fn local(seconds: u64, zone: &TimeZone) -> DateTime {
    local_stamp(seconds).to_zoned(zone.clone()).datetime()
}

/// The time that lies `within` before `newest`. Without one, everything is within.
fn before(newest: u64, within: &Within, zone: &TimeZone) -> Option<Timestamp> {
    let Within { years, months, days, hours } = *within;
    let span = years.years().months(months).days(days).hours(hours);
    local_stamp(newest).to_zoned(zone.clone()).checked_sub(span).ok().map(|it| it.timestamp())
}
