//! Images: made, named, sent, found.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use ryo::http::{Http, HttpError, Request, Response, Socket};
use ryo::lxd::image::reference::{Reference, Remote, Remotes, remotes};
use ryo::lxd::image::{Files, Part, Publish, Upload};
use ryo::lxd::instance::ImageSource;
use ryo::lxd::model::{Image, ImageAlias, ImageOrigin};
use ryo::lxd::{Client, Error, Progress};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{running, told};
use crate::support::exchange::Asked;
use crate::support::fake_lxd::{FakeImage, FakeLxd};

fn publish() -> Publish {
    Publish { instance: "web".to_owned(), properties: [("os".to_owned(), "x".to_owned())].into() }
}

fn upload(bytes: &'static [u8]) -> Upload {
    let part = Part { reader: Box::new(bytes), length: Some(bytes.len() as u64) };
    let properties = [("os".to_owned(), "x".to_owned())].into();
    Upload { filename: "a.tar".to_owned(), properties, files: Files::Unified(part) }
}

#[tokio::test]
async fn an_image_is_published_without_zstd_where_there_is_none() {
    let (fake, client) = running().await;
    client.kill("web").await.unwrap();
    fake.without_zstd();
    fake.log.clear();
    let fingerprint = client.publish(&publish()).await.unwrap();
    assert_eq!(client.image(&fingerprint).await.unwrap().unwrap().properties["os"], "x");
    assert_eq!(fake.log.writes(), ["POST /1.0/images", "POST /1.0/images"]);
}

#[tokio::test]
async fn a_publishing_that_fails_otherwise_is_not_tried_again() {
    let (fake, client) = running().await;
    let error = client.publish(&publish()).await.unwrap_err();
    assert_eq!(told(&error), "publishing of instance `web` failed: Cannot export a running instance as an image");
    assert_eq!(fake.log.writes(), ["POST /1.0/images"]);
}

#[tokio::test]
async fn a_name_is_moved_in_one_request() {
    let (fake, client) = running().await;
    let one = fake.add_image("one", FakeImage::of("one"));
    let two = fake.add_image("two", FakeImage::of("two"));
    client.set_alias("web-1", &one, "").await.unwrap();
    fake.log.clear();
    client.set_alias("web-1", &two, "").await.unwrap();
    assert_eq!(fake.log.all(), ["PUT /1.0/images/aliases/web-1"]);
    assert_eq!(client.alias("web-1").await.unwrap().unwrap().target, two);
}

#[tokio::test]
async fn an_image_that_arrives_is_called_by_its_digest() {
    let (fake, client) = running().await;
    let fingerprint = client.upload(upload(b"unified")).await.unwrap();
    assert_eq!(fingerprint, hex::encode(Sha256::digest(b"unified")));
    assert_eq!(client.image(&fingerprint).await.unwrap().unwrap().properties["os"], "x");
    assert_eq!(fake.log.writes(), ["POST /1.0/images".to_owned(), format!("PATCH /1.0/images/{fingerprint}")]);
}

/// Changes one byte of every upload on its way.
struct Flipping(Arc<FakeLxd>);

impl Http for Flipping {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn send(&self, request: Request) -> futures_util::future::BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            if request.path != "/1.0/images" || request.headers.is_empty() {
                return self.0.send(request).await;
            }
            let (method, headers) = (request.method.clone(), request.headers.clone());
            let mut body = Asked::read(request).await.unwrap().body;
            body[0] ^= 1;
            let mut changed = Request::new(method, "/1.0/images", ryo::http::Body::Bytes(body.into()));
            changed.headers = headers;
            self.0.send(changed).await
        })
    }

    fn websocket<'a>(&'a self, path: &'a str) -> futures_util::future::BoxFuture<'a, Result<Socket, HttpError>> {
        self.0.websocket(path)
    }
}

#[tokio::test]
async fn an_image_that_arrives_damaged_is_removed_again() {
    let fake = Arc::new(FakeLxd::default());
    let before = fake.world();
    let client = Client::new(Arc::new(Flipping(fake.clone())));
    let error = client.upload(upload(b"image")).await.unwrap_err();
    let (sent, received) = (hex::encode(Sha256::digest(b"image")), hex::encode(Sha256::digest(b"hmage")));
    assert_eq!(told(&error), format!("the image arrived damaged: sent {sent}, received {received}"));
    assert_eq!(fake.world(), before);
}

#[tokio::test]
async fn a_split_image_is_sent_as_a_form_and_called_by_the_digest_of_both() {
    let part = |bytes: &'static [u8], length| Part { reader: Box::new(Cursor::new(bytes)), length };
    let files = Files::Split { metadata: part(b"meta", Some(4)), rootfs: part(b"root", Some(4)) };
    let seen = Arc::new(Mutex::new(None));
    let client = Client::new(Arc::new(Keeping(seen.clone())));
    let upload = Upload { filename: "a".to_owned(), properties: [].into(), files };
    let fingerprint = client.upload(upload).await.unwrap();
    assert_eq!(fingerprint, hex::encode(Sha256::digest(b"metaroot")));
    let (length, body) = seen.lock().unwrap().take().unwrap();
    assert_eq!(length, Some(body.len() as u64));
    let line = body.lines().next().unwrap();
    let part = |name: &str, file: &str, content: &str| {
        format!(
            "{line}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}\r\n"
        )
    };
    let expected = part("metadata", "metadata.tar", "meta") + &part("rootfs", "rootfs", "root") + line + "--\r\n";
    assert_eq!(body, expected);
}

/// Keeps length and text of an upload, and answers as if it had arrived.
struct Keeping(Arc<Mutex<Option<Sent>>>);

/// The length as announced, and the text.
type Sent = (Option<u64>, String);

impl Http for Keeping {
    fn name(&self) -> &'static str {
        "keeping"
    }

    fn send(&self, request: Request) -> futures_util::future::BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            let length = if let ryo::http::Body::Stream(_, length) = &request.body { *length } else { None };
            let body = Asked::read(request).await.unwrap().body;
            if !body.is_empty() {
                *self.0.lock().unwrap() = Some((length, String::from_utf8(body).unwrap()));
            }
            let fingerprint = hex::encode(Sha256::digest(b"metaroot"));
            let operation = json!({ "id": "x", "status_code": 200, "metadata": { "fingerprint": fingerprint } });
            let answer = json!({ "type": "sync", "metadata": operation });
            Ok(crate::support::exchange::response(200, vec![], answer.to_string().into_bytes()))
        })
    }

    fn websocket<'a>(&'a self, _: &'a str) -> futures_util::future::BoxFuture<'a, Result<Socket, HttpError>> {
        unreachable!()
    }
}

#[tokio::test]
async fn an_image_is_read_and_checked() {
    let (fake, client) = running().await;
    let fingerprint = client.upload(upload(b"image")).await.unwrap();
    let mut copy = vec![];
    assert_eq!(client.export(&fingerprint, &mut copy).await.unwrap(), 5);
    assert_eq!(copy, b"image");
    let other = fake.add_image("other", FakeImage { bytes: b"damaged".to_vec(), ..FakeImage::of("other") });
    let error = client.export(&other, &mut tokio::io::sink()).await.unwrap_err();
    let received = hex::encode(Sha256::digest(b"damaged"));
    assert_eq!(told(&error), format!("the image arrived damaged: sent {other}, received {received}"));
}

fn image(fingerprint: &str, alias: &str) -> Image {
    let aliases = vec![ImageAlias { name: alias.to_owned(), description: String::new() }];
    Image { fingerprint: fingerprint.to_owned(), aliases, ..Image::default() }
}

#[test]
fn an_image_is_found_by_alias_fingerprint_or_its_beginning() {
    let mut images = [image("abc1", "debian/12"), image("abd2", "abc"), image("eee3", "x")];
    images[2].update_source = Some(ImageOrigin {
        server: "https://cloud-images.ubuntu.com/minimal/releases/".to_owned(),
        protocol: "simplestreams".to_owned(),
        alias: "22.04".to_owned(),
    });
    let cases = [
        ("debian/12", Some("abc1")),
        ("local:debian/12", Some("abc1")),
        ("abc1", Some("abc1")),
        ("abc", Some("abd2")),
        ("abd", Some("abd2")),
        ("ab", None),
        ("", None),
        ("nope", None),
        ("ubuntu-minimal:22.04", Some("eee3")),
        ("ubuntu:22.04", None),
    ];
    for (text, expected) in cases {
        let reference = Reference::parse(text, &remotes()).unwrap();
        let found = reference.find(&images).map(|image| image.fingerprint.as_str());
        assert_eq!(found, expected, "{text}");
    }
    let missing = Reference::parse("ubuntu:22.04", &remotes()).unwrap().resolve(&images).unwrap_err();
    let expected = "no image is called `22.04 of https://cloud-images.ubuntu.com/releases`";
    assert_eq!(missing.to_string(), expected);
}

#[test]
fn a_remote_is_known_or_an_error() {
    let own: Remotes = [("host1".to_owned(), Remote::Here)].into();
    assert_eq!(Reference::parse("host1:web-1", &own).unwrap(), Reference::Local("web-1".to_owned()));
    let error = Reference::parse("ubuntu:22.04", &own).unwrap_err();
    assert_eq!(error.to_string(), "no remote is called `ubuntu` (image `ubuntu:22.04`)");
    let source = Reference::parse("images:debian/12", &remotes()).unwrap().source();
    let expected = ImageSource::Remote {
        server: "https://images.linuxcontainers.org".to_owned(),
        protocol: "simplestreams".to_owned(),
        alias: "debian/12".to_owned(),
    };
    assert_eq!(source, expected);
    let print = "0".repeat(64);
    assert_eq!(Reference::Local(print.clone()).source(), ImageSource::Fingerprint(print));
}

#[tokio::test]
async fn a_fetched_image_is_found_again_without_fetching() {
    let fake = Arc::new(FakeLxd::default());
    fake.add_remote_image("https://images.example", "simplestreams", "debian/12", FakeImage::of("debian"));
    let client = Client::new(fake.clone());
    let fingerprint = client.pull_image("https://images.example", "simplestreams", "debian/12").await.unwrap();
    assert_eq!(client.pull_image("https://images.example", "simplestreams", "debian/12").await.unwrap(), fingerprint);
    let reference = Reference::Remote {
        server: "https://images.example".to_owned(),
        protocol: "simplestreams".to_owned(),
        alias: "debian/12".to_owned(),
    };
    let images = client.images().await.unwrap();
    assert_eq!(reference.find(&images).unwrap().fingerprint, fingerprint);
    let error = client.pull_image("https://images.example", "simplestreams", "debian/9").await.unwrap_err();
    let expected = "download of image `debian/9` from https://images.example failed: \
                    The requested image couldn't be found";
    assert_eq!(told(&error), expected);
    assert!(matches!(error, Error::Failed { .. }));
}

#[test]
fn progress_is_read_from_what_the_servers_say() {
    let cases = [
        (json!({ "rootfs_progress": "45% (12.30MB/s)" }), Some(("45% (12.30MB/s)", Some(45)))),
        (json!({ "download_progress": "rootfs: 7% (1MB/s)" }), Some(("rootfs: 7% (1MB/s)", Some(7)))),
        (
            json!({ "create_instance_from_image_unpack_progress": "Unpack: 100% (1MB/s)" }),
            Some(("Unpack: 100% (1MB/s)", Some(100))),
        ),
        (json!({ "x_progress": "Image pack: 12.5MB" }), Some(("Image pack: 12.5MB", None))),
        (json!({ "x_progress": "999%" }), Some(("999%", None))),
        (json!({ "x_progress": "%" }), Some(("%", None))),
        (json!({ "progress": { "percent": "1" }, "fingerprint": "x" }), None),
        (json!({ "x_progress": 7 }), None),
    ];
    for (metadata, expected) in cases {
        let expected = expected.map(|(message, percent)| Progress { message: message.to_owned(), percent });
        assert_eq!(Progress::of(metadata.as_object().unwrap()), expected, "{metadata}");
    }
}
