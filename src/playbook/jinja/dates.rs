//! Moments and the time between them, as Python's `datetime` has them.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::value::{Object, Value};

/// `datetime.datetime`, without a time zone.
pub struct Moment(DateTime);

/// `datetime.timedelta`, in microseconds.
pub struct Span(i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.0;
        write!(f, "{} {}", moment.date(), Clock(of_day(moment)))
    }
}

fn of_day(moment: DateTime) -> i64 {
    let seconds = i64::from(moment.hour()) * 3600 + i64::from(moment.minute()) * 60 + i64::from(moment.second());
    seconds * SECOND + i64::from(moment.subsec_nanosecond()) / 1000
}

/// A time of day in microseconds, hours with two digits.
struct Clock(i64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / SECOND;
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match self.0 % SECOND {
            0 => Ok(()),
            rest => write!(f, ".{rest:06}"),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(DAY);
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        let clock = Clock(self.0.rem_euclid(DAY)).to_string();
        f.write_str(clock.strip_prefix('0').unwrap_or(&clock))
    }
}

impl Object for Moment {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        let moment = self.0;
        Ok(Some(Value::Int(match key {
            "year" => i64::from(moment.year()),
            "month" => i64::from(moment.month()),
            "day" => i64::from(moment.day()),
            "hour" => i64::from(moment.hour()),
            "minute" => i64::from(moment.minute()),
            "second" => i64::from(moment.second()),
            "microsecond" => i64::from(moment.subsec_nanosecond()) / 1000,
            _ => return Ok(None),
        })))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Span {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        Ok(Some(Value::Int(match key {
            "days" => self.0.div_euclid(DAY),
            "seconds" => self.0.rem_euclid(DAY) / SECOND,
            "microseconds" => self.0.rem_euclid(SECOND),
            _ => return Ok(None),
        })))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Calls a method of a moment or of a span; nothing if it is neither.
pub fn call(object: &dyn Object, name: &str, args: Arguments) -> Option<Result<Value, String>> {
    if let Some(moment) = object.as_any().downcast_ref::<Moment>() {
        return Some(of_moment(moment.0, name, args));
    }
    let span = object.as_any().downcast_ref::<Span>()?;
    Some(match name {
        "total_seconds" => Ok(Value::Float(micro(span.0))),
        _ => Err("`timedelta` has no such method".to_owned()),
    })
}

#[expect(clippy::cast_precision_loss, reason = "as Python divides")]
fn micro(span: i64) -> f64 {
    span as f64 / 1e6
}

fn of_moment(moment: DateTime, name: &str, args: Arguments) -> Result<Value, String> {
    match name {
        "strftime" => {
            let [format] = args.bind(["format"])?;
            let zoned = moment.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
            // Python's moments know no zone: only the seconds since 1970 are counted in that of the computer.
            let format = arguments::text(format, "").replace("%s", &zoned.timestamp().as_second().to_string());
            strtime::format(format, moment).map(Value::text).map_err(|error| error.to_string())
        }
        "replace" => {
            let names = ["year", "month", "day", "hour", "minute", "second", "microsecond"];
            replaced(moment, args.bind(names)?).map(|moment| value(Moment(moment)))
        }
        "isoformat" => Ok(Value::text(format!("{}T{}", moment.date(), Clock(of_day(moment))))),
        "timestamp" => {
            let zoned = moment.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
            Ok(Value::Float(micro(zoned.timestamp().as_microsecond())))
        }
        "date" => Ok(Value::text(moment.date().to_string())),
        "time" => Ok(Value::text(Clock(of_day(moment)).to_string())),
        "weekday" => Ok(Value::Int(i64::from(moment.weekday().to_monday_zero_offset()))),
        "isoweekday" => Ok(Value::Int(i64::from(moment.weekday().to_monday_one_offset()))),
        _ => Err("`datetime` has no such method".to_owned()),
    }
}

fn replaced(moment: DateTime, parts: [Option<Value>; 7]) -> Result<DateTime, String> {
    let [year, month, day, hour, minute, second, microsecond] = parts;
    let number = |part: Option<Value>, present: i64| match part {
        None => Ok(present),
        Some(part) => part.as_int().ok_or_else(|| "needs whole numbers".to_owned()),
    };
    let short = |part, present: i8| {
        let number = number(part, i64::from(present))?;
        i8::try_from(number).map_err(|_| format!("{number} is out of range"))
    };
    let year = i16::try_from(number(year, i64::from(moment.year()))?).map_err(|_| "the year is out of range")?;
    let fraction = number(microsecond, i64::from(moment.subsec_nanosecond()) / 1000)?;
    let fraction = i32::try_from(fraction.saturating_mul(1000)).map_err(|_| "the microsecond is out of range")?;
    let (month, day) = (short(month, moment.month())?, short(day, moment.day())?);
    let (hour, minute) = (short(hour, moment.hour())?, short(minute, moment.minute())?);
    let second = short(second, moment.second())?;
    DateTime::new(year, month, day, hour, minute, second, fraction).map_err(|error| error.to_string())
}

fn value(object: impl Object + 'static) -> Value {
    Value::Object(Arc::new(object))
}

/// Subtracts moments, and adds spans to moments and to each other; nothing if one is neither.
pub fn combine(left: &Value, right: &Value, sign: i64) -> Option<Value> {
    let (Value::Object(left), Value::Object(right)) = (left, right) else { return None };
    match (moment(left), span(left), moment(right), span(right)) {
        (Some(left), _, Some(right), _) if sign < 0 => Some(value(Span(between(right, left)?))),
        (Some(left), _, _, Some(right)) => {
            let span = jiff::Span::new().try_microseconds(sign.checked_mul(right)?).ok()?;
            Some(value(Moment(left.checked_add(span).ok()?)))
        }
        (_, Some(left), _, Some(right)) => Some(value(Span(left.checked_add(sign.checked_mul(right)?)?))),
        _ => None,
    }
}

fn moment(object: &Arc<dyn Object>) -> Option<DateTime> {
    object.as_any().downcast_ref::<Moment>().map(|it| it.0)
}

fn span(object: &Arc<dyn Object>) -> Option<i64> {
    object.as_any().downcast_ref::<Span>().map(|it| it.0)
}

/// Compares two moments, or two spans; nothing for anything else.
pub fn order(left: &Arc<dyn Object>, right: &Arc<dyn Object>) -> Option<Ordering> {
    match (moment(left), moment(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => Some(span(left)?.cmp(&span(right)?)),
    }
}

fn between(from: DateTime, to: DateTime) -> Option<i64> {
    let stamp = |moment: DateTime| Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond());
    stamp(to)?.checked_sub(stamp(from)?)
}

/// Reads a moment in a format of `strptime`.
///
/// # Errors
///
/// The text does not have that format.
pub fn parse(text: &str, format: &str) -> Result<Value, String> {
    let wrong = |error: jiff::Error| format!("`{text}` does not have the format `{format}`: {error}");
    let (known, rest) = without_zone(format, text);
    let broken = strtime::parse(known, rest).map_err(wrong)?;
    let date = match broken.to_date() {
        Ok(date) => date,
        Err(_) => jiff::civil::date(1900, 1, 1),
    };
    let time = broken.to_time().unwrap_or(jiff::civil::Time::midnight());
    Ok(value(Moment(date.to_datetime(time))))
}

/// Takes the name of a zone from the end of a format and of a text: Python reads the names of Greenwich's and leaves it at
/// that.
fn without_zone<'t>(format: &'t str, text: &'t str) -> (&'t str, &'t str) {
    let zone = ["UTC", "GMT"].iter().find_map(|zone| text.trim_end().strip_suffix(zone));
    match (format.trim_end().strip_suffix("%Z"), zone) {
        (Some(format), Some(text)) => (format.trim_end(), text.trim_end()),
        _ => (format, text),
    }
}

/// Writes seconds since 1970, or now, in a format of `strftime`.
///
/// # Errors
///
/// The format or the number cannot be.
pub fn format(format: &str, seconds: Option<f64>, zone: TimeZone) -> Result<String, String> {
    let zoned = match seconds {
        None => Zoned::now().with_time_zone(zone),
        Some(seconds) => stamp(seconds)?.to_zoned(zone),
    };
    strtime::format(format, &zoned).map_err(|error| error.to_string())
}

#[expect(clippy::cast_possible_truncation, reason = "what is too large is no time")]
fn stamp(seconds: f64) -> Result<Timestamp, String> {
    Timestamp::from_second(seconds.floor() as i64).map_err(|error| error.to_string())
}

/// A moment, as the clock of this computer shows it.
pub fn at(time: std::time::SystemTime) -> Value {
    let zoned = Timestamp::try_from(time).unwrap_or_default().to_zoned(TimeZone::system());
    value(Moment(zoned.datetime().round(jiff::Unit::Microsecond).unwrap_or_else(|_| zoned.datetime())))
}

/// Writes a time in a format of `strftime`, as the clock of this computer shows it; nothing if the format cannot be.
pub fn formatted(time: std::time::SystemTime, format: &str) -> Option<String> {
    strtime::format(format, &Timestamp::try_from(time).ok()?.to_zoned(TimeZone::system())).ok()
}

/// The present moment.
pub fn now(zone: TimeZone) -> Value {
    value(Moment(Zoned::now().with_time_zone(zone).datetime()))
}
