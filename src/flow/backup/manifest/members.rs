//! Reading manifests, member by member. What is in them is not trusted: nothing of any length is held.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::flow::backup::manifest::{Error, FORM, Manifest, Member};

/// Most bytes of what stands in front of the members: what is kept of the control node is most of it.
const HEAD: u64 = 64 << 20;

/// Most bytes of one member.
const MEMBER: u64 = 1 << 20;

/// Reads up to the members.
pub(super) fn head(stream: &mut dyn Read) -> Result<Manifest, Error> {
    parse(stream, Want::Head)
}

/// Reads to the end. `visit` says whether it wants more members.
pub(super) fn read(stream: &mut dyn Read, visit: &mut dyn FnMut(Member) -> bool) -> Result<Manifest, Error> {
    parse(stream, Want::All(visit))
}

enum Want<'v> {
    Head,
    All(&'v mut dyn FnMut(Member) -> bool),
}

/// Why reading ended before the end although nothing is wrong.
const ENOUGH: &str = "enough";

fn parse(stream: &mut dyn Read, want: Want<'_>) -> Result<Manifest, Error> {
    let left = Rc::new(Cell::new(HEAD));
    let mut reader = serde_json::Deserializer::from_reader(Bounded { stream, left: left.clone() });
    let mut reading = Reading { want, left, head: Map::new(), enough: false };
    let ended = reader.deserialize_map(&mut reading).and_then(|()| reader.end());
    let (head, enough) = (reading.head, reading.enough);
    match ended {
        Ok(()) => {}
        Err(_) if enough => {}
        Err(error) if error.is_io() => return Err(Error::Damaged(error.into())),
        Err(error) => return Err(Error::Shape(error.to_string())),
    }
    match head.get("form").and_then(Value::as_u64).and_then(|form| u32::try_from(form).ok()) {
        Some(FORM) => {}
        Some(form) => return Err(Error::Form(form)),
        None => return Err(Error::Shape("it does not say its form".to_owned())),
    }
    serde_json::from_value(Value::Object(head)).map_err(|error| Error::Shape(error.to_string()))
}

struct Reading<'v> {
    want: Want<'v>,
    left: Rc<Cell<u64>>,
    head: Map<String, Value>,
    enough: bool,
}

impl<'de> Visitor<'de> for &mut Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "members" {
                map.next_value_seed(&mut *self)?;
                self.left.set(HEAD);
            } else {
                let value = map.next_value()?;
                self.head.insert(key, value);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Want::All(visit) = &mut self.want else {
            self.enough = true;
            return Err(A::Error::custom(ENOUGH));
        };
        self.left.set(MEMBER);
        let mut more = true;
        while more {
            let Some(member) = members.next_element()? else { return Ok(()) };
            self.left.set(MEMBER);
            more = visit(member);
        }
        self.enough = true;
        Err(A::Error::custom(ENOUGH))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reading<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// A stream that ends with an error when too much is read of it at once.
struct Bounded<'s> {
    stream: &'s mut dyn Read,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "there is more in it than may be"));
        }
        let length = self.stream.read(bytes)?;
        self.left.set(left.saturating_sub(length as u64));
        Ok(length)
    }
}
