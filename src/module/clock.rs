//! Times as Ansible's results write them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, split as calendars do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// e.g. 2026
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
    /// 0 to 999,999.
    pub microsecond: u32,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Splits `time`.
pub fn moment(time: SystemTime) -> Moment {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    Moment {
        year,
        month,
        day,
        hour: of_day / 3600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        microsecond: since.subsec_micros(),
    }
}

/// Year, month and day of a day since 1970, by years that begin in March.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Seconds since 1970 of a date and time.
fn seconds(moment: &Moment) -> i64 {
    let year = if moment.month <= 2 { moment.year - 1 } else { moment.year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = if moment.month > 2 { moment.month - 3 } else { moment.month + 9 };
    let of_year = (153 * month + 2) / 5 + moment.day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    days * DAY + moment.hour * 3600 + moment.minute * 60 + moment.second
}

/// `2026-11-23 03:07:43.123456`
pub fn stamp(time: SystemTime) -> String {
    let it = moment(time);
    let (date, clock) = (format!("{:04}-{:02}-{:02}", it.year, it.month, it.day), hms(&it));
    format!("{date} {clock}.{:06}", it.microsecond)
}

/// `2026-11-23T03:07:43Z`
pub fn iso(time: SystemTime) -> String {
    let it = moment(time);
    format!("{:04}-{:02}-{:02}T{}Z", it.year, it.month, it.day, hms(&it))
}

/// `2026-11-23@03:07:43`
pub fn backup_stamp() -> String {
    let it = moment(SystemTime::now());
    format!("{:04}-{:02}-{:02}@{}", it.year, it.month, it.day, hms(&it))
}

fn hms(it: &Moment) -> String {
    format!("{:02}:{:02}:{:02}", it.hour, it.minute, it.second)
}

/// `0:00:01.002003`
pub fn delta(took: Duration) -> String {
    let seconds = took.as_secs();
    format!("{}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, took.subsec_micros())
}

/// Seconds since 1970 of `text`, written as `format` says (`strptime`: `%Y %m %d %H %M %S %y %s %%`), or nothing.
pub fn read(text: &str, format: &str) -> Option<i64> {
    let mut it = Moment { year: 1900, month: 1, day: 1, hour: 0, minute: 0, second: 0, microsecond: 0 };
    let mut rest = text;
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            rest = rest.strip_prefix(letter)?;
            continue;
        }
        let field = letters.next()?;
        let width = if field == 'Y' { 4 } else { 2 };
        let digits = rest.bytes().take(if field == 's' { 12 } else { width }).take_while(u8::is_ascii_digit).count();
        let number = rest[..digits].parse::<i64>();
        match field {
            '%' => {
                rest = rest.strip_prefix('%')?;
                continue;
            }
            's' => return (rest.len() == digits).then_some(number.ok()?),
            'Y' => it.year = number.ok()?,
            'y' => it.year = number.ok().map(|year| if year < 69 { year + 2000 } else { year + 1900 })?,
            'm' => it.month = number.ok().filter(|month| (1..=12).contains(month))?,
            'd' => it.day = number.ok().filter(|day| (1..=31).contains(day))?,
            'H' => it.hour = number.ok().filter(|hour| *hour < 24)?,
            'M' => it.minute = number.ok().filter(|minute| *minute < 60)?,
            'S' => it.second = number.ok().filter(|second| *second < 62)?,
            _ => return None,
        }
        rest = &rest[digits..];
    }
    rest.is_empty().then(|| seconds(&it))
}

/// `Mon, 23 Nov 2026 03:07:43 GMT`
pub fn http(time: SystemTime) -> String {
    let it = moment(time);
    let days = seconds(&it).div_euclid(DAY);
    let of_week = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
    let (day, month) = (name(&of_week, days.rem_euclid(7)), name(&months, it.month - 1));
    let (day, month) = (day.unwrap_or_default(), month.unwrap_or_default());
    format!("{day}, {:02} {month} {:04} {} GMT", it.day, it.year, hms(&it))
}
