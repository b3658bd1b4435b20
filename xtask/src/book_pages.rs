//! The pages of the book in a browser: how they look, and whether a hand on the keyboard can use them.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::browser::{Browser, Key};

const CHECKS: &str = include_str!("book_browser.js");

/// What was found, a line each, and what was done.
#[derive(Debug, Default)]
pub struct Findings {
    pub problems: Vec<String>,
    pub figures: usize,
    pub keys: usize,
}

/// Opens each page at 360 and at 1280 pixels.
pub fn look_through(browser: &mut Browser, book: &Path, pages: &[String], axe: Option<&str>) -> Result<Findings> {
    let mut findings = Findings::default();
    let bar = std::io::stdout().is_terminal();
    for width in [360, 1280] {
        browser.resize(width)?;
        for (i, page) in pages.iter().enumerate() {
            if bar {
                print!("\r{width} pixels: page {} of {} \r", i + 1, pages.len());
                std::io::stdout().flush()?;
            }
            let before = findings.problems.len();
            browser.open(&book.join(page))?;
            browser.evaluate(CHECKS).map(drop).with_context(|| page.clone())?;
            Page { browser, findings: &mut findings }.look(width, axe).with_context(|| page.clone())?;
            findings.problems.extend(browser.console().into_iter().map(|line| format!("on the console: {line}")));
            for problem in &mut findings.problems[before..] {
                *problem = format!("{page} at {width} px: {problem}");
            }
        }
    }
    Ok(findings)
}

/// What a figure that moves shows, and where the focus is among its controls.
#[derive(Debug, Deserialize)]
struct State {
    picture: String,
    says: String,
    /// −1: outside.
    focus: i64,
    ring: bool,
    controls: Vec<Control>,
}

/// A slider or, without a value, a button.
#[derive(Debug, Deserialize)]
struct Control {
    name: String,
    value: Option<i64>,
    max: Option<i64>,
    text: String,
}

struct Page<'a> {
    browser: &'a mut Browser,
    findings: &'a mut Findings,
}

impl Page<'_> {
    fn look(&mut self, width: u32, axe: Option<&str>) -> Result<()> {
        self.ask("checks.look()")?;
        let plays: Vec<String> = serde_json::from_value(self.browser.evaluate("checks.plays()")?)?;
        for (i, name) in plays.iter().enumerate() {
            self.play(i, name)?;
        }
        self.fold()?;
        if let Some(axe) = axe.filter(|_| width > 1000) {
            // It ends with a value that cannot be sent.
            self.browser.evaluate(&format!("{axe};0"))?;
            self.ask("checks.axe()")?;
        }
        Ok(())
    }

    fn ask(&mut self, check: &str) -> Result<()> {
        let found: Vec<String> = serde_json::from_value(self.browser.evaluate(check)?)?;
        self.findings.problems.extend(found);
        Ok(())
    }

    fn press(&mut self, key: Key) -> Result<()> {
        self.findings.keys += 1;
        self.browser.press(key)
    }

    fn state(&mut self, i: usize) -> Result<State> {
        Ok(serde_json::from_value(self.browser.evaluate(&format!("checks.state({i})"))?)?)
    }

    /// Presses a key within a figure.
    fn after(&mut self, i: usize, key: Key) -> Result<State> {
        self.press(key)?;
        self.state(i)
    }

    fn expect(&mut self, holds: bool, name: &str, problem: &str) {
        if !holds {
            self.findings.problems.push(format!("{name}: {problem}"));
        }
    }

    /// Walks through a figure by Tab, moves each slider by its keys and each knob by the mouse, and walks out again.
    fn play(&mut self, i: usize, name: &str) -> Result<()> {
        self.findings.figures += 1;
        let first = self.state(i)?;
        let is_drawn = first.picture.contains("path") && !first.says.is_empty();
        self.expect(is_drawn && !first.controls.is_empty(), name, "shows nothing, or has nothing to move it");
        self.browser.evaluate(&format!("checks.before({i})"))?;
        for (k, control) in first.controls.iter().enumerate() {
            let here = self.after(i, Key::Tab)?;
            let name = format!("{name}, {}", control.name);
            self.expect(here.focus == k as i64, &name, &format!("Tab leads to the control {} instead", here.focus));
            self.expect(here.ring, &name, "the focus cannot be seen");
            match (control.value, control.max) {
                (Some(value), Some(max)) => self.slide(i, k, &name, value, max)?,
                _ => self.run(i, k, &name)?,
            }
        }
        let outside = self.after(i, Key::Tab)?.focus;
        self.expect(outside == -1, name, "Tab does not lead out of it");
        let back = self.after(i, Key::ShiftTab)?.focus;
        self.expect(back == first.controls.len() as i64 - 1, name, "Shift and Tab do not lead back into it");
        self.drag(i, name)
    }

    /// One step and back, to the ends, and back to where it stood.
    fn slide(&mut self, i: usize, k: usize, name: &str, value: i64, max: i64) -> Result<()> {
        let before = self.state(i)?;
        let (there, back) = if value < max { (Key::Right, Key::Left) } else { (Key::Left, Key::Right) };
        let moved = self.after(i, there)?;
        let step = if value < max { 1 } else { -1 };
        self.expect(moved.controls[k].value == Some(value + step), name, &format!("{there:?} does not move it"));
        self.expect(moved.picture != before.picture, name, &format!("{there:?} changes nothing"));
        self.expect(moved.controls[k].text != before.controls[k].text, name, "it does not say its value");
        let again = self.after(i, back)?;
        self.expect(again.picture == before.picture && again.says == before.says, name, "it does not come back");
        let home = self.after(i, Key::Home)?;
        self.expect(home.controls[k].value == Some(0), name, "Home does not lead to its first value");
        let end = self.after(i, Key::End)?;
        self.expect(end.controls[k].value == Some(max), name, "End does not lead to its last value");
        self.expect(home.picture != end.picture, name, "its ends show the same");
        for _ in value..max {
            self.press(Key::Left)?;
        }
        let picture = self.state(i)?.picture;
        self.expect(picture == before.picture, name, "many steps do not lead back");
        Ok(())
    }

    /// Enter lets it run, until Enter is pressed again.
    fn run(&mut self, i: usize, k: usize, name: &str) -> Result<()> {
        let before = self.state(i)?;
        let running = self.after(i, Key::Enter)?;
        self.expect(running.controls[k].text != before.controls[k].text, name, "it does not say that it runs");
        let start = Instant::now();
        while self.state(i)?.picture == before.picture && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let later = self.state(i)?;
        self.expect(later.picture != before.picture, name, "Enter does not let it run");
        // It may have come to its end meanwhile.
        if later.controls[k].text != before.controls[k].text {
            let stopped = self.after(i, Key::Enter)?;
            self.expect(stopped.controls[k].text == before.controls[k].text, name, "Enter does not stop it");
        }
        Ok(())
    }

    /// Each knob, dragged to the right or, near the border, to the left, takes its slider along.
    fn drag(&mut self, i: usize, name: &str) -> Result<()> {
        let knobs: Vec<[f64; 2]> = serde_json::from_value(self.browser.evaluate(&format!("checks.knobs({i})"))?)?;
        for [x, y] in knobs {
            let before = self.state(i)?;
            self.browser.drag([x, y], [if x < 180.0 { x + 60.0 } else { x - 60.0 }, y])?;
            let after = self.state(i)?;
            let moved = before.controls.iter().zip(&after.controls).any(|(before, after)| before.value != after.value);
            self.expect(moved && after.picture != before.picture, name, "a knob cannot be dragged");
        }
        Ok(())
    }

    /// Enter opens the first fold of a page and closes it again.
    fn fold(&mut self) -> Result<()> {
        let is_open = |page: &mut Self| Ok::<_, anyhow::Error>(page.browser.evaluate("checks.fold()")?.as_bool());
        let Some(before) = is_open(self)? else { return Ok(()) };
        for expected in [!before, before] {
            self.press(Key::Enter)?;
            let now = is_open(self)?;
            ensure!(now.is_some(), "the first fold of the page has gone");
            self.expect(now == Some(expected), "the first fold", "Enter does not open and close it");
        }
        Ok(())
    }
}
