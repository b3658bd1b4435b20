//! Runs the examples as a user does: their programs, which cargo builds into the folder beside that of the tests.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The program of an example, which cargo builds into the folder beside that of the tests.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built; `cargo build --examples` does it (with `--features torch` where the test has it)",
        path.display()
    );
    path
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fails unless the program ends with this status and one sentence that has all these words.
#[track_caller]
pub fn expect(output: &Output, status: i32, words: &[&str]) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert_eq!(error.matches("error:").count(), 1, "{error}");
    assert!(!error.contains("panicked"), "{error}");
    words.iter().for_each(|word| assert!(error.contains(word), "{word:?} is not in: {error}"));
}

pub fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits until a condition holds, a minute at most.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        sleep(Duration::from_millis(10));
    }
}
