//! Points in time, written as RFC 3339 has it.

use std::cmp::Ordering;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, Weekday};

use crate::hcl::function::argument::text;
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "formatdate", least: 2, most: Some(2), takes: Takes::Present, body: format_date },
    Function { name: "timeadd", least: 2, most: Some(2), takes: Takes::Present, body: time_add },
    Function { name: "timecmp", least: 2, most: Some(2), takes: Takes::Present, body: time_compare },
    // Another one each time: nothing that is looked at again can depend on them.
    Function { name: "timestamp", least: 0, most: Some(0), takes: Takes::Present, body: unknown },
    Function { name: "plantimestamp", least: 0, most: Some(0), takes: Takes::Present, body: unknown },
    Function { name: "uuid", least: 0, most: Some(0), takes: Takes::Present, body: unknown },
    Function { name: "bcrypt", least: 1, most: Some(2), takes: Takes::Present, body: unknown },
];

#[expect(clippy::unnecessary_wraps, reason = "the functions of the table have one shape")]
fn unknown(_: &Files<'_>, _: Vec<Value>) -> Result<Value, String> {
    Ok(Value::Unknown)
}

/// A point in time as clocks at some distance from Greenwich show it.
struct Moment {
    shown: DateTime,
    /// Minutes east of Greenwich.
    east: i64,
}

impl Moment {
    fn read(written: &str) -> Result<Self, String> {
        Self::parse(written).ok_or_else(|| format!("`{written}` is no point in time such as `2018-01-02T23:12:01Z`"))
    }

    fn parse(written: &str) -> Option<Self> {
        let (date, rest) = written.split_once('T')?;
        let at = rest.find(['Z', '+', '-'])?;
        let (time, zone) = rest.split_at(at);
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let small = |number: i64| i8::try_from(number).ok();
        let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        let time = Time::new(small(hour)?, small(minute)?, small(second)?, nanoseconds).ok()?;
        Some(Self { shown: date.to_datetime(time), east: east(zone)? })
    }

    fn order(&self, other: &Self) -> Option<Ordering> {
        let greenwich = |moment: &Self| moment.shown.checked_sub(SignedDuration::from_mins(moment.east)).ok();
        Some(greenwich(self)?.cmp(&greenwich(other)?))
    }

    fn zone(&self, colon: &str) -> String {
        let sign = if self.east < 0 { '-' } else { '+' };
        let minutes = self.east.abs();
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }
}

/// `Z`, `+05:30` or `-08:00` in minutes.
fn east(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    let east = hours * 60 + minutes;
    let east = if zone.starts_with('-') { -east } else { east };
    (hours < 24 && minutes < 60).then_some(east)
}

/// Numbers of fixed widths, separated by one character.
fn numbers<const COUNT: usize>(text: &str, separator: char, widths: [usize; COUNT]) -> Option<[i64; COUNT]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = |(part, width): (&&str, &usize)| part.len() == *width && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() != COUNT || !parts.iter().zip(&widths).all(fits) {
        return None;
    }
    let read: Option<Vec<i64>> = parts.iter().map(|part| part.parse().ok()).collect();
    read?.try_into().ok()
}

fn format_date(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (pattern, moment) = (text(&mut arguments)?, Moment::read(&text(&mut arguments)?)?);
    let mut output = String::new();
    let mut rest = pattern.as_str();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => {
                let (literal, length) = quoted(rest)?;
                output.push_str(&literal);
                length
            }
            'a'..='z' | 'A'..='Z' => {
                let length = rest.len() - rest.trim_start_matches(first).len();
                output.push_str(&sequence(&rest[..length], &moment)?);
                length
            }
            other => {
                output.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(output.into())
}

/// What stands in quotes, and its length with them. `''` is one quote, inside and outside.
fn quoted(text: &str) -> Result<(String, usize), String> {
    if text.starts_with("''") {
        return Ok(("'".to_owned(), 2));
    }
    let mut at = 1;
    while let Some(end) = text[at..].find('\'').map(|found| at + found) {
        if !text[end + 1..].starts_with('\'') {
            return Ok((text[1..end].replace("''", "'"), end + 1));
        }
        at = end + 2;
    }
    Err("a quote is not closed".to_owned())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn sequence(letters: &str, moment: &Moment) -> Result<String, String> {
    let shown = &moment.shown;
    let month = || MONTHS[usize::from(shown.month().unsigned_abs()).clamp(1, 12) - 1];
    let twelve = if shown.hour() % 12 == 0 { 12 } else { shown.hour() % 12 };
    let half = if shown.hour() < 12 { "am" } else { "pm" };
    Ok(match letters {
        "YYYY" => format!("{:04}", shown.year()),
        "YY" => format!("{:02}", shown.year() % 100),
        "MMMM" => month().to_owned(),
        "MMM" => month()[..3].to_owned(),
        "MM" => format!("{:02}", shown.month()),
        "M" => shown.month().to_string(),
        "DD" => format!("{:02}", shown.day()),
        "D" => shown.day().to_string(),
        "EEEE" => weekday(shown.weekday()).to_owned(),
        "EEE" => weekday(shown.weekday())[..3].to_owned(),
        "hh" => format!("{:02}", shown.hour()),
        "h" => shown.hour().to_string(),
        "HH" => format!("{twelve:02}"),
        "H" => twelve.to_string(),
        "AA" => half.to_uppercase(),
        "aa" => half.to_owned(),
        "mm" => format!("{:02}", shown.minute()),
        "m" => shown.minute().to_string(),
        "ss" => format!("{:02}", shown.second()),
        "s" => shown.second().to_string(),
        "Z" if moment.east == 0 => "Z".to_owned(),
        "ZZZ" if moment.east == 0 => "UTC".to_owned(),
        "ZZZ" | "ZZZZ" => moment.zone(""),
        "Z" | "ZZZZZ" => moment.zone(":"),
        _ => return Err(format!("`{letters}` means nothing in a date")),
    })
}

fn time_add(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (moment, written) = (Moment::read(&text(&mut arguments)?)?, text(&mut arguments)?);
    let duration = duration(&written).ok_or_else(|| format!("`{written}` is no duration such as `1h30m`"))?;
    let shown = moment.shown.checked_add(duration).map_err(|_| "the result is too far away".to_owned())?;
    let zone = if moment.east == 0 { "Z".to_owned() } else { moment.zone(":") };
    Ok(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{zone}",
        shown.year(),
        shown.month(),
        shown.day(),
        shown.hour(),
        shown.minute(),
        shown.second()
    )
    .into())
}

/// `-1h30m`, `1.5h`, `300ms`: a sign, then numbers with their units.
fn duration(written: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match written.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds = 0_i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        nanoseconds = nanoseconds.checked_add(scaled(number, size(unit)?)?)?;
        rest = after;
    }
    if written.trim_start_matches(['-', '+']).is_empty() {
        return None;
    }
    let nanoseconds = if negative { -nanoseconds } else { nanoseconds };
    let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    Some(SignedDuration::new(i64::try_from(seconds).ok()?, i32::try_from(fraction).ok()?))
}

/// Nanoseconds in a unit.
fn size(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn scaled(number: &str, size: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let read = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let fraction = &fraction[..fraction.len().min(15)];
    let power = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    read(whole)?.checked_mul(size)?.checked_add(read(fraction)?.checked_mul(size)? / power)
}

fn time_compare(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (left, right) = (Moment::read(&text(&mut arguments)?)?, Moment::read(&text(&mut arguments)?)?);
    let order = left.order(&right).ok_or_else(|| "a point in time is too far away".to_owned())?;
    Ok(Value::from(i128::from(order as i8)))
}
