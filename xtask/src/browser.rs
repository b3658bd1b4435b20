//! A headless Chromium: pages are opened in it, asked, and given key presses as a keyboard gives them.
//!
//! It is driven by its DevTools protocol, JSON messages that end in a zero byte, over a pipe: no port, no further program.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::project;

/// Browsers that can be run without a window, the first that is there.
pub const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// How long an answer may take: a long page on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A key of the keyboard: its name, its number, and what it types.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Tab,
    ShiftTab,
    Enter,
    Home,
    End,
    Left,
    Right,
}

impl Key {
    fn parts(self) -> (&'static str, u32, &'static str) {
        match self {
            Self::Tab | Self::ShiftTab => ("Tab", 9, ""),
            Self::Enter => ("Enter", 13, "\r"),
            Self::End => ("End", 35, ""),
            Self::Home => ("Home", 36, ""),
            Self::Left => ("ArrowLeft", 37, ""),
            Self::Right => ("ArrowRight", 39, ""),
        }
    }
}

/// A browser with one page. It ends when this is dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    sent: u64,
    loaded: bool,
    console: Vec<String>,
}

impl Browser {
    /// The browser that is installed, if one is.
    pub fn installed() -> Option<&'static str> {
        PROGRAMS.into_iter().find(|program| project::exists(program, &["--version"]))
    }

    /// Starts it; what it remembers goes to `profile`.
    pub fn start(program: &str, profile: &Path) -> Result<Self> {
        // The protocol wants descriptors 3 and 4; a shell puts our pipes there.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--allow-file-access-from-files", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be run")?;
        let (to, out) = child.stdin.take().zip(child.stdout.take()).context("the browser has no pipes")?;
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0) {
                let Ok(message) = message.map_err(drop).and_then(|m| serde_json::from_slice(&m).map_err(drop)) else {
                    break;
                };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self { child, to, from, session: None, sent: 0, loaded: false, console: Vec::new() };
        let targets = browser.call("Target.getTargets", json!({}))?;
        let page = targets["targetInfos"].as_array().and_then(|all| all.iter().find(|target| target["type"] == "page"));
        let page = page.context("the browser has no page")?["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": page, "flatten": true }))?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}))?;
        }
        browser.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }))?;
        Ok(browser)
    }

    /// Asks for one thing and waits for the answer.
    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.to.write_all(&bytes).context("the browser has ended")?;
        loop {
            let mut answer = self.receive(method)?;
            if answer["id"] == self.sent {
                if let Some(error) = answer.get("error") {
                    bail!("the browser refused {method}: {error}");
                }
                return Ok(answer["result"].take());
            }
        }
    }

    /// The next message; what is written to the console is kept.
    fn receive(&mut self, waiting_for: &str) -> Result<Value> {
        let message = self.from.recv_timeout(PATIENCE);
        let message = message.with_context(|| format!("the browser did not answer ({waiting_for})"))?;
        let params = &message["params"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.consoleAPICalled") => {
                let arguments = params["args"].as_array().map(Vec::as_slice).unwrap_or_default();
                let words: Vec<String> = arguments.iter().map(|argument| text(&argument["value"])).collect();
                self.console.push(words.join(" "));
            }
            Some("Runtime.exceptionThrown") => self.console.push(text(&params["exceptionDetails"])),
            Some("Log.entryAdded") => self.console.push(text(&params["entry"]["text"])),
            _ => (),
        }
        Ok(message)
    }

    /// How wide the window is, in pixels of CSS.
    pub fn resize(&mut self, width: u32) -> Result<()> {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// Opens a file and waits until all of it is there.
    pub fn open(&mut self, page: &Path) -> Result<()> {
        self.loaded = false;
        let answer = self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }))?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("{} cannot be opened: {error}", page.display());
        }
        while !self.loaded {
            self.receive("the page")?;
        }
        Ok(())
    }

    /// What an expression of JavaScript is in the page.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", params)?;
        if let Some(error) = answer.get("exceptionDetails") {
            bail!("the page failed: {}", error["exception"]["description"].as_str().unwrap_or("no reason"));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Presses a key and lets it go. The page cannot tell it from a hand.
    pub fn press(&mut self, key: Key) -> Result<()> {
        let (name, number, text) = key.parts();
        let modifiers = if matches!(key, Key::ShiftTab) { 8 } else { 0 };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": number, "modifiers": modifiers,
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// Drags with the mouse from one place of the window to another.
    pub fn drag(&mut self, [x, y]: [f64; 2], to: [f64; 2]) -> Result<()> {
        for (kind, [x, y], pressed) in
            [("mouseMoved", [x, y], 0), ("mousePressed", [x, y], 1), ("mouseMoved", to, 1), ("mouseReleased", to, 0)]
        {
            let button = if kind == "mouseMoved" && pressed == 0 { "none" } else { "left" };
            let event = json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": pressed, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// What was written to the console since this was last asked, errors that nobody caught among it.
    pub fn console(&mut self) -> Vec<String> {
        std::mem::take(&mut self.console)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("Browser.close", json!({}));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
