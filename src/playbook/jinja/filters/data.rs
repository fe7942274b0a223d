//! Filters between values and text: JSON, YAML, base64, digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use crate::playbook::jinja::arguments::{self, Arguments, Truth, truth};
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::python::{self, Characters, Layout, Order};
use crate::playbook::jinja::value::Value;
use crate::playbook::jinja::yamldump::{self, Style};
use crate::yaml::{self, Dialect};

/// Their names.
pub const NAMES: &[&str] = &[
    "b64decode",
    "b64encode",
    "checksum",
    "from_json",
    "from_yaml",
    "from_yaml_all",
    "hash",
    "md5",
    "pprint",
    "sha1",
    "to_json",
    "to_nice_json",
    "to_nice_yaml",
    "to_uuid",
    "to_yaml",
    "tojson",
];

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let text = || input.to_string();
    Ok(match name {
        "b64encode" => {
            let [encoding] = args.bind(["encoding"])?;
            Value::text(STANDARD.encode(encoded(&text(), &arguments::text(encoding, "utf-8"))?))
        }
        "b64decode" => {
            let [encoding] = args.bind(["encoding"])?;
            let bytes = STANDARD.decode(text().trim()).map_err(|_| "needs base64")?;
            Value::text(decoded(bytes, &arguments::text(encoding, "utf-8"))?)
        }
        "md5" => Value::text(digest("md5", &text())?),
        "to_uuid" => to_uuid(&text(), args)?,
        "checksum" | "sha1" => Value::text(digest("sha1", &text())?),
        "hash" => {
            let [kind] = args.bind(["hashtype"])?;
            Value::text(digest(&arguments::text(kind, "sha1"), &text())?)
        }
        "to_json" | "to_nice_json" => to_json(name, input, args)?,
        "tojson" => tojson(input, args)?,
        "pprint" => Value::text(python::repr(input)),
        "from_json" => {
            let read: serde_json::Value =
                serde_json::from_str(&text()).map_err(|error| format!("cannot read JSON: {error}"))?;
            Value::from(&read)
        }
        "from_yaml" | "from_yaml_all" => from_yaml(name, input)?,
        _ => to_yaml(name, input, args)?,
    })
}

fn to_json(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [indent, sort, ascii, separators, _, _] =
        args.bind(["indent", "sort_keys", "ensure_ascii", "separators", "vault_to_text", "preprocess_unsafe"])?;
    let nice = name == "to_nice_json";
    let sorted = truth(sort.as_ref(), if nice { Truth::Yes } else { Truth::No });
    let layout = match indent {
        None | Some(Value::None) if nice => Layout::Indented(4),
        None | Some(Value::None) => Layout::Line,
        indent => Layout::Indented(arguments::size(indent, 4)?.min(64)),
    };
    let layout = match separators.as_ref().and_then(Value::as_list).map(|list| list.as_slice()) {
        Some([comma, colon])
            if layout == Layout::Line && comma.as_str() == Some(",") && colon.as_str() == Some(":") =>
        {
            Layout::Dense
        }
        Some(_) if separators.is_some() && layout == Layout::Line => {
            return Err("knows the separators `,` and `:` only".into());
        }
        _ => layout,
    };
    let characters = if truth(ascii.as_ref(), Truth::Yes) { Characters::Ascii } else { Characters::All };
    let order = if sorted { Order::Sorted } else { Order::Kept };
    Ok(Value::text(python::json_with(input, layout, order, characters)?))
}

/// A UUID of version 5 in Ansible's own name space, or in another.
fn to_uuid(name: &str, args: Arguments) -> Result<Value, Trouble> {
    let [space] = args.bind(["namespace"])?;
    let space = arguments::text(space, "361E6D51-FAEC-444A-9079-341386DA8E2E");
    let bytes = hex::decode(space.replace('-', "")).ok().filter(|bytes| bytes.len() == 16);
    let bytes = bytes.ok_or_else(|| format!("cannot read `{space}` as a UUID"))?;
    let mut made = sha1::Sha1::new().chain_update(bytes).chain_update(name).finalize()[..16].to_vec();
    made[6] = made[6] & 0x0f | 0x50;
    made[8] = made[8] & 0x3f | 0x80;
    let text = hex::encode(made);
    Ok(Value::text([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")))
}

fn tojson(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [indent] = args.bind(["indent"])?;
    let layout = match indent {
        None | Some(Value::None) => Layout::Line,
        indent => Layout::Indented(arguments::size(indent, 4)?.min(64)),
    };
    let text = python::json(input, layout, Order::Sorted)?;
    let escaped = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027");
    Ok(Value::text(escaped))
}

fn from_yaml(name: &str, input: &Value) -> Result<Value, Trouble> {
    let Value::Str(text) = input else { return Ok(input.clone()) };
    let documents = yaml::load(text, Dialect::Ansible).map_err(|error| format!("cannot read YAML: {error}"))?;
    let mut values: Vec<_> = documents.iter().map(|node| Value::from(&node.value())).collect();
    if name == "from_yaml_all" {
        return Ok(Value::list(values));
    }
    match values.len() {
        0 => Ok(Value::None),
        1 => Ok(values.remove(0)),
        count => Err(format!("needs one document, got {count}").into()),
    }
}

fn to_yaml(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let names = ["indent", "sort_keys", "width", "default_flow_style", "explicit_start"];
    let [indent, sort, width, flow, start] = args.bind(names)?;
    let nice = name == "to_nice_yaml";
    let flow = match flow {
        None | Some(Value::None) if nice => Some(false),
        None | Some(Value::None) => None,
        Some(value) => Some(value.truth()),
    };
    let style = Style {
        indent: arguments::size(indent, if nice { 4 } else { 2 })?.clamp(2, 9),
        width: arguments::size(width, 80)?,
        sorted: truth(sort.as_ref(), Truth::Yes),
        flow,
    };
    let text = yamldump::dump(input, style)?;
    let container = matches!(input, Value::List(_) | Value::Tuple(_) | Value::Dict(_));
    let between = if container && !text.starts_with(['{', '[']) { '\n' } else { ' ' };
    Ok(Value::text(if truth(start.as_ref(), Truth::No) { format!("---{between}{text}") } else { text }))
}

/// The bytes of text in one of the encodings that templates name.
fn encoded(text: &str, encoding: &str) -> Result<Vec<u8>, String> {
    match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => Ok(text.as_bytes().to_vec()),
        "utf-16-le" => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16-be" => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        _ => Err(format!("knows no encoding `{encoding}`")),
    }
}

/// The text that bytes are in one of these encodings.
fn decoded(bytes: Vec<u8>, encoding: &str) -> Result<String, String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks(2).map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or(0)])).collect();
        String::from_utf16(&units).ok()
    };
    let text = match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-16-le" => wide(u16::from_le_bytes),
        "utf-16-be" => wide(u16::from_be_bytes),
        "utf-8" | "utf8" => String::from_utf8(bytes).ok(),
        _ => return Err(format!("knows no encoding `{encoding}`")),
    };
    text.ok_or_else(|| "holds no text".to_owned())
}

fn digest(kind: &str, text: &str) -> Result<String, String> {
    Ok(match kind {
        "md5" => format!("{:x}", md5::compute(text)),
        "sha1" => hex::encode(sha1::Sha1::digest(text)),
        "sha224" => hex::encode(sha2::Sha224::digest(text)),
        "sha256" => hex::encode(sha2::Sha256::digest(text)),
        "sha384" => hex::encode(sha2::Sha384::digest(text)),
        "sha512" => hex::encode(sha2::Sha512::digest(text)),
        _ => return Err(format!("knows no digest `{kind}`")),
    })
}
