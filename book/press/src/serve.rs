//! Shows a folder in a browser: a small server for this machine alone.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Listens on a port of this machine.
pub fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("port {port} cannot be used; choose another with --port"))
}

/// Answers until the program is ended.
pub fn serve(listener: &TcpListener, folder: &Path) {
    for stream in listener.incoming().flatten() {
        let folder = folder.to_owned();
        // A reader who goes away in the middle is no concern of ours.
        std::thread::spawn(move || drop(answer(stream, &folder)));
    }
}

fn answer(mut stream: TcpStream, folder: &Path) -> Result<()> {
    let mut request = String::new();
    BufReader::new(&stream).read_line(&mut request)?;
    let (status, kind, body) = match file(&request, folder).map(|path| (content_type(&path), std::fs::read(path))) {
        Some((kind, Ok(body))) => ("200 OK", kind, body),
        _ => ("404 Not Found", "text/plain; charset=utf-8", b"There is no such page.".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    // Who asks with HEAD wants to know what there is, and not to have it.
    if !request.starts_with("HEAD ") {
        stream.write_all(&body)?;
    }
    Ok(())
}

/// The file that a request asks for, within the folder.
fn file(request: &str, folder: &Path) -> Option<PathBuf> {
    let path = request.strip_prefix("GET /").or_else(|| request.strip_prefix("HEAD /"))?;
    let path = path.split([' ', '?', '#']).next()?;
    let path = if path.is_empty() { "index.html" } else { path };
    // An empty part would make it a path from the root of this machine.
    let plain = path.split('/').all(|part| !part.is_empty() && part != ".." && !part.contains(['\\', '%', ':']));
    let path = folder.join(path);
    (plain && path.is_file()).then_some(path)
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "x").unwrap();
        let asked = |request: &str| file(request, folder.path()).is_some();
        assert!(asked("GET / HTTP/1.1\r\n") && asked("GET /index.html?x HTTP/1.1") && asked("HEAD / HTTP/1.1"));
        assert!(
            !asked("GET /../index.html HTTP/1.1") && !asked("POST / HTTP/1.1") && !asked("GET //etc/passwd HTTP/1.1")
        );
    }
}
