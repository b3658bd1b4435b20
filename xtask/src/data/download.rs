//! Downloads that go on where they were cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::Failure;
use crate::files::size;

/// How patient a download is.
pub struct Download {
    /// How long a server may be silent, and the time over which its rate is measured.
    pub patience: Duration,
    /// Bytes that have to arrive in that time, or before the connection breaks again.
    pub least: u64,
    /// The largest file that is taken.
    pub most: u64,
    /// How often in a row a server is asked although less than that comes.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles each time.
    pub pause: Duration,
}

impl Default for Download {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { patience: seconds(30), least: 30_000, most: 300_000_000, attempts: 4, pause: seconds(1) }
    }
}

/// Why an attempt failed.
enum Trouble {
    /// Asking again may help.
    Passing(anyhow::Error),
    /// This server will not do better.
    Lasting(anyhow::Error),
    /// The file cannot be written here.
    Here(anyhow::Error),
}

impl Download {
    /// Brings `part` to the whole of what is at an address. What is there already is not asked for again.
    pub fn fetch(&self, url: &str, part: &Path) -> Result<(), Failure> {
        let mut silent = 0;
        loop {
            let before = length(part);
            let trouble = match self.attempt(url, part) {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Here(error) => return Err(Failure::Here(error)),
                Trouble::Lasting(error) => return Err(Failure::There(error)),
                Trouble::Passing(error) => {
                    silent = if length(part) >= before + self.least { 0 } else { silent + 1 };
                    if silent == self.attempts {
                        return Err(Failure::There(error));
                    }
                    println!("{error:#}; asking again");
                    sleep(self.pause * 2_u32.pow(silent.saturating_sub(1)));
                }
            }
        }
    }

    fn attempt(&self, url: &str, part: &Path) -> Result<(), Trouble> {
        let have = length(part);
        let agent = Agent::from(self.config(url));
        let mut request = agent.get(url);
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        let mut response = request.call().map_err(|error| Trouble::Passing(in_words(url, error)))?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range(&response, "bytes ", '-') == Some(have) => have,
            // The file ends where ours does: all of it is here.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 && range(&response, "bytes */", '\0') == Some(have) => {
                return Ok(());
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                empty(part)?;
                return Err(Trouble::Passing(anyhow!("{url}: the server has another length than before")));
            }
            status => {
                let error = anyhow!("{url}: the server says {status}");
                let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                return Err(if passing { Trouble::Passing(error) } else { Trouble::Lasting(error) });
            }
        };
        if start == 0 {
            empty(part)?;
        }
        let whole = response.body().content_length().map(|rest| start.saturating_add(rest));
        if whole.unwrap_or(0) > self.most {
            return Err(Trouble::Lasting(too_large(url, self.most)));
        }
        self.receive(url, part, start, whole, response.body_mut())
    }

    fn config(&self, url: &str) -> ureq::config::Config {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(url.starts_with("https://"))
            .accept_encoding("identity")
            .user_agent("literate-diffusion")
            .timeout_connect(Some(self.patience))
            .timeout_recv_response(Some(self.patience))
            .timeout_per_read(Some(self.patience));
        // A server on this machine is not asked through a proxy.
        if url.starts_with("http://127.0.0.1:") { config.proxy(None).build() } else { config.build() }
    }

    /// Appends to `part` what comes, until the server ends it.
    fn receive(&self, url: &str, part: &Path, start: u64, whole: Option<u64>, body: &mut Body) -> Result<(), Trouble> {
        let cannot = |error: io::Error| {
            let what = format!("{} cannot be written", part.display());
            Trouble::Here(anyhow::Error::from(error).context(what))
        };
        let mut file = OpenOptions::new().append(true).open(part).map_err(cannot)?;
        let mut reader = body.as_reader();
        let mut progress = Progress::new(url, start, whole);
        let mut buffer = vec![0; 1 << 16];
        let (mut have, mut since, mut at_since) = (start, Instant::now(), start);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(Trouble::Passing(cut_off(url, have, whole).context(error.to_string()))),
            };
            file.write_all(&buffer[..count]).map_err(cannot)?;
            have += count as u64;
            progress.show(have);
            if have > self.most {
                return Err(Trouble::Lasting(too_large(url, self.most)));
            }
            if since.elapsed() > self.patience {
                if have - at_since < self.least {
                    return Err(Trouble::Lasting(anyhow!(
                        "{url}: only {} bytes came in {:.0?}",
                        have - at_since,
                        since.elapsed()
                    )));
                }
                (since, at_since) = (Instant::now(), have);
            }
        }
        if whole.is_some_and(|whole| have < whole) {
            return Err(Trouble::Passing(cut_off(url, have, whole)));
        }
        progress.end(have);
        file.sync_all().map_err(cannot)
    }
}

/// A number of the header Content-Range, between a start and an end.
fn range(response: &Response<Body>, start: &str, end: char) -> Option<u64> {
    let text = response.headers().get("content-range")?.to_str().ok()?.strip_prefix(start)?;
    text.split(end).next()?.trim().parse().ok()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn empty(part: &Path) -> Result<(), Trouble> {
    let made = File::create(part).map(|_| ()).with_context(|| format!("{} cannot be written", part.display()));
    made.map_err(Trouble::Here)
}

fn in_words(url: &str, error: ureq::Error) -> anyhow::Error {
    anyhow!("{url}: {error}")
}

fn cut_off(url: &str, have: u64, whole: Option<u64>) -> anyhow::Error {
    let of = whole.map_or(String::new(), |whole| format!(" of {whole}"));
    anyhow!("{url}: the connection broke after {have}{of} bytes")
}

fn too_large(url: &str, most: u64) -> anyhow::Error {
    anyhow!("{url}: the file is larger than {}, so it cannot be the right one", size(most))
}

/// A line that says how far a download is; on a terminal it moves.
struct Progress<'a> {
    name: &'a str,
    whole: Option<u64>,
    shown: Instant,
    moves: bool,
}

impl<'a> Progress<'a> {
    fn new(url: &'a str, start: u64, whole: Option<u64>) -> Self {
        let of = whole.map_or("a file of unknown size".to_owned(), size);
        let on = if start > 0 { format!(", going on after {}", size(start)) } else { String::new() };
        println!("{url}: {of}{on}");
        let name = url.rsplit('/').next().unwrap_or(url);
        Self { name, whole, shown: Instant::now(), moves: io::stderr().is_terminal() }
    }

    fn show(&mut self, have: u64) {
        if self.moves && self.shown.elapsed() > Duration::from_millis(200) {
            let of = self.whole.map_or(String::new(), |whole| format!(" of {}", size(whole)));
            eprint!("\r  {}: {}{of}    ", self.name, size(have));
            self.shown = Instant::now();
        }
    }

    fn end(&self, have: u64) {
        if self.moves {
            eprint!("\r\x1b[K");
        }
        println!("{}: {} are here", self.name, size(have));
    }
}
