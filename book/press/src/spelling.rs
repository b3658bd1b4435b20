//! Words of the prose that are misspelt, or spelt as elsewhere than in Britain: by the lists of the `typos` project.

use typos_vars::Category;
use unicase::UniCase;

use crate::problem::{Place, Problems};

/// Words that the lists correct but that are meant here, in small letters.
const MEANT: [&str; 0] = [];

/// Finds the misspelt words of a page as it is written. Code, formulas and references are left out.
pub fn check(file: &str, text: &str, problems: &Problems) {
    let mut fence: Option<String> = None;
    for (i, line) in text.lines().enumerate() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_none() { Some(info.trim().to_owned()) } else { None };
        }
        for word in words(&prose(line, fence.as_deref())) {
            if let Some(correction) = correction(word) {
                problems.add(&Place::new(file, i + 1), format!("spelling: `{word}`{correction}"));
            }
        }
    }
}

/// What a reader reads of a line within a fence.
fn prose(line: &str, fence: Option<&str>) -> String {
    let kind = fence.map(|info| info.split_whitespace().next().unwrap_or_default());
    let read = match kind {
        None | Some("figure" | "play" | "chapter") => line,
        Some("algebra" | "derivation") => line.strip_prefix('|').unwrap_or_default(),
        Some(_) => "",
    };
    let marks = [("`", "`"), ("$", "$"), ("{{", "}}"), ("[@", "]"), ("](", ")"), ("<", ">")];
    marks.iter().fold(read.to_owned(), |text, (open, close)| without(&text, open, close))
}

/// The text without what stands between two marks. A mark that is not closed hides the rest of the line.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        left.push_str(before);
        left.push(' ');
        rest = after.split_once(close).map_or("", |(_, after)| after);
    }
    left + rest
}

/// Words of letters, and of apostrophes within them. A part of a name (`x_0`, `f64`) is none.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let of_a_word = |c: char| c.is_alphanumeric() || "'’_".contains(c);
    let spelt = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_alphabetic() || "'’".contains(c));
    text.split(move |c| !of_a_word(c)).map(|word| word.trim_matches(['\'', '’', '_'])).filter(spelt)
}

/// What is said of a misspelt word; none for one that the lists do not know to be wrong.
fn correction(word: &str) -> Option<String> {
    if MEANT.contains(&word) {
        return None;
    }
    let key = UniCase::new(word);
    if let Some(corrections) = typos_dict::WORD.find(&key) {
        return Some(instead(corrections));
    }
    let variants = typos_vars::VARS.find(&key)?;
    let british = variants.iter().any(|(places, _)| places & Category::BritishIse as u8 != 0);
    if british { None } else { variants.first().map(|(_, spellings)| instead(spellings[1])) }
}

fn instead(corrections: &[&str]) -> String {
    match corrections {
        [] => " is no word".into(),
        some => format!("; meant is perhaps {}", some.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let problems = Problems::default();
        check("page.md", text, &problems);
        problems.list()
    }

    #[test]
    fn a_misspelt_word_is_found_in_its_line() {
        assert_eq!(
            found("All is well.\nThe varience is β.\n"),
            ["page.md:2: spelling: `varience`; meant is perhaps variance"]
        );
    }

    #[test]
    fn spelling_is_british() {
        assert_eq!(
            found("The normalized color"),
            [
                "page.md:1: spelling: `color`; meant is perhaps colour",
                "page.md:1: spelling: `normalized`; meant is perhaps normalised"
            ]
        );
        assert!(found("The discretised colour, normalised").is_empty());
    }

    #[test]
    fn code_formulas_and_references_are_left_out() {
        assert!(
            found("`varience` $color$ {{number color.x}} [@recieve] [a](recieve.html)\n```console\nrecieve\n```\n")
                .is_empty()
        );
        assert_eq!(found("```algebra\nrecieve &= 1\n| recieve\n```\n").len(), 1);
    }
}
