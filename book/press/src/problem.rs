//! What is wrong with the book, and where.

use std::cell::RefCell;
use std::fmt;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As a reader would name it, from the root of the repository.
    pub file: String,
    /// 1 for the first; 0 where the whole file is meant.
    pub line: usize,
}

impl Place {
    pub fn new(file: impl Into<String>, line: usize) -> Self {
        Self { file: file.into(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// The problems found so far. All of them are shown, not only the first.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<(Place, String)>>);

impl Problems {
    pub fn add(&self, place: &Place, message: impl Into<String>) {
        self.0.borrow_mut().push((place.clone(), message.into()));
    }

    /// Sorted by place, each once.
    pub fn list(&self) -> Vec<String> {
        let mut found = self.0.borrow().clone();
        found.sort();
        found.dedup();
        found.iter().map(|(place, message)| format!("{place}: {message}")).collect()
    }
}
