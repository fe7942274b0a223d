//! Text in other encodings, and compressed text.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

use crate::hcl::function::argument::text;
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "textencodebase64", least: 2, most: Some(2), takes: Takes::Present, body: encode },
    Function { name: "textdecodebase64", least: 2, most: Some(2), takes: Takes::Present, body: decode },
    Function { name: "base64gzip", least: 1, most: Some(1), takes: Takes::Present, body: gzip },
];

/// A character encoding, by its IANA name.
#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Ascii,
    Latin1,
    Utf16Little,
    Utf16Big,
}

impl Charset {
    fn read(name: &str) -> Result<Self, String> {
        match name.to_uppercase().as_str() {
            "UTF-8" => Ok(Self::Utf8),
            "US-ASCII" | "ASCII" => Ok(Self::Ascii),
            "ISO-8859-1" | "LATIN1" => Ok(Self::Latin1),
            "UTF-16LE" => Ok(Self::Utf16Little),
            "UTF-16BE" | "UTF-16" => Ok(Self::Utf16Big),
            _ => Err(format!(
                "the encoding `{name}` is not supported, only UTF-8, UTF-16LE, UTF-16BE, US-ASCII and ISO-8859-1"
            )),
        }
    }

    /// The last character that one byte stands for.
    fn last(self) -> u32 {
        if matches!(self, Self::Ascii) { 0x7f } else { 0xff }
    }

    fn encode(self, text: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Utf16Little => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            Self::Utf16Big => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            Self::Ascii | Self::Latin1 => {
                let byte = |c: char| u8::try_from(u32::from(c)).ok().filter(|byte| u32::from(*byte) <= self.last());
                let missing = |c: char| format!("the encoding has no `{c}`");
                text.chars().map(|c| byte(c).ok_or_else(|| missing(c))).collect()
            }
        }
    }

    fn decode(self, bytes: &[u8]) -> Option<String> {
        let units = |join: fn([u8; 2]) -> u16| {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| join(*pair)).collect();
            if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
        };
        match self {
            Self::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Self::Utf16Little => units(u16::from_le_bytes),
            Self::Utf16Big => units(u16::from_be_bytes),
            Self::Ascii | Self::Latin1 => {
                let character = |byte: &u8| Some(char::from(*byte)).filter(|c| u32::from(*c) <= self.last());
                bytes.iter().map(character).collect()
            }
        }
    }
}

fn encode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (text, charset) = (text(&mut arguments)?, Charset::read(&text(&mut arguments)?)?);
    Ok(STANDARD.encode(charset.encode(&text)?).into())
}

fn decode(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let mut arguments = arguments.into_iter();
    let (encoded, charset) = (text(&mut arguments)?, Charset::read(&text(&mut arguments)?)?);
    let bytes = STANDARD.decode(encoded).map_err(|_| "the text is not base64".to_owned())?;
    charset.decode(&bytes).map(Value::String).ok_or_else(|| "the bytes are no text in that encoding".to_owned())
}

/// Compresses text. The bytes are not those of Terraform, which has another compressor; what is in them is the same.
fn gzip(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let text = text(&mut arguments.into_iter())?;
    let mut writer = GzBuilder::new().operating_system(255).write(vec![], Compression::default());
    let written = writer.write_all(text.as_bytes()).and_then(|()| writer.finish());
    Ok(STANDARD.encode(written.map_err(|error| error.to_string())?).into())
}
