//! The press as a preprocessor of mdBook: linked into our own program, or run as a command by the stock one.

use std::path::PathBuf;

use anyhow::{Result, bail};
use mdbook_preprocessor::book::{Book, BookItem, Chapter, SectionNumber};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::html::words_only;
use crate::inputs::{Folders, Inputs};
use crate::press::Press;
use crate::problem::Problems;
use crate::spelling;

/// Sets the book, or fails with everything that is wrong with it.
pub struct BookPress {
    pub folders: Folders,
    /// For the search index: no formulas, no measurements, no listings of whole files.
    pub words_only: bool,
}

impl Preprocessor for BookPress {
    fn name(&self) -> &str {
        "press"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let problems = Problems::default();
        let inputs = Inputs::read(&self.folders, &problems)?;
        let chapters: Vec<(String, String, String)> = book.chapters().filter_map(as_written).collect();
        for (file, _, text) in &chapters {
            spelling::check(&format!("book/src/{file}"), text, &problems);
        }
        let press = Press::new(&inputs, &chapters, &problems);
        let (texts, code_pages) = press.set();
        let list = problems.list();
        if !list.is_empty() {
            bail!(
                "the book has {} {}:\n{}",
                list.len(),
                crate::press::plural(list.len(), "problem", "problems"),
                list.join("\n")
            );
        }
        let numbers: Vec<_> = press.chapters.iter().map(|c| c.planned.as_ref().map(|planned| planned.number)).collect();
        let mut set = texts.into_iter().zip(numbers);
        book.for_each_chapter_mut(|chapter| {
            if as_written(chapter).is_none() {
                return;
            }
            let Some((text, number)) = set.next() else { return };
            chapter.content = if self.words_only { words_only(&text) } else { text };
            chapter.number = number.map(|number| SectionNumber::new([number]));
            if chapter.path == Some(PathBuf::from("code.md")) {
                chapter.sub_items = code_pages.iter().map(|page| self.code_page(page, &chapter.name)).collect();
            }
        });
        Ok(book)
    }
}

impl BookPress {
    fn code_page(&self, (file, title, text): &(String, String, String), parent: &str) -> BookItem {
        let text = if self.words_only { text.lines().next().unwrap_or_default() } else { text };
        let mut chapter = Chapter::new(title, text.to_owned(), file, vec![parent.to_owned()]);
        chapter.source_path = None;
        BookItem::Chapter(chapter)
    }
}

/// File, title and text of a chapter that somebody wrote.
fn as_written(chapter: &Chapter) -> Option<(String, String, String)> {
    let path = chapter.source_path.as_ref()?;
    Some((path.to_string_lossy().replace('\\', "/"), chapter.name.clone(), chapter.content.clone()))
}
