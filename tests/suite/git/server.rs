//! A git server over HTTP in this process: real `git upload-pack` behind a few lines of HTTP, and ways to do it wrong.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Right,
    /// It is somewhere else now.
    Moved,
    Missing,
    Broken,
    Page,
    Garbage,
    HalfReferences,
    HalfPack,
    NoPack,
    Refusal,
}

const REFERENCES: &str = "application/x-git-upload-pack-advertisement";
const PACK: &str = "application/x-git-upload-pack-result";

/// Serves `repository` and returns its address.
pub(crate) async fn serve(repository: PathBuf, manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x/module", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let repository = repository.clone();
            tokio::spawn(async move { answer(stream, &repository, manner).await });
        }
    });
    url
}

async fn answer(stream: TcpStream, repository: &Path, manner: Manner) {
    let mut stream = BufReader::new(stream);
    let (line, body) = request(&mut stream).await;
    if manner == Manner::Moved && line.starts_with("GET /x/module/") {
        let head = "HTTP/1.1 301 x\r\nlocation: /new/module/info/refs?service=git-upload-pack\r\n\
                    content-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        return stream.shutdown().await.unwrap();
    }
    let line = if manner == Manner::Moved { line.replace("/new/", "/x/") } else { line };
    let asks_references = line == "GET /x/module/info/refs?service=git-upload-pack HTTP/1.1";
    assert!(asks_references || line == "POST /x/module/git-upload-pack HTTP/1.1", "{line}");
    let (status, kind, mut bytes) = match manner {
        Manner::Missing => (404, "text/plain", vec![]),
        Manner::Broken => (500, "text/plain", vec![]),
        Manner::Page => (200, "text/html", b"<html>".to_vec()),
        Manner::Garbage => (200, REFERENCES, b"hello".to_vec()),
        Manner::Refusal => (200, REFERENCES, b"0016ERR access denied\n".to_vec()),
        _ if asks_references => {
            let mut bytes = b"001e# service=git-upload-pack\n0000".to_vec();
            bytes.extend(upload_pack(repository, &["--advertise-refs"], b"").await);
            (200, REFERENCES, bytes)
        }
        Manner::NoPack => (200, PACK, b"0008NAK\n0000".to_vec()),
        _ => (200, PACK, upload_pack(repository, &[], &body).await),
    };
    if manner == Manner::HalfReferences || manner == Manner::HalfPack && !asks_references {
        bytes.truncate(bytes.len() - 5);
    }
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
}

async fn request(stream: &mut BufReader<TcpStream>) -> (String, Vec<u8>) {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        first.get_or_insert(line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (first.unwrap(), body)
}

async fn upload_pack(repository: &Path, options: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(["upload-pack", "--stateless-rpc"])
        .args(options)
        .arg(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    output.stdout
}
