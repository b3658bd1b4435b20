//! Formulas: LaTeX in, HTML and MathML out, at build time.

use std::collections::BTreeMap;

use katex::macros::MacroDefinition;
use katex::types::{OutputFormat, Settings, StrictMode, StrictSetting};
use katex::{KatexContext, render_to_string};

use crate::html::{shield, thin};

/// Sets formulas, with the book's macros.
pub struct Math {
    context: KatexContext,
    macros: BTreeMap<String, String>,
}

impl Math {
    /// `macros`: names without the backslash, as in `book/macros.toml`.
    pub fn new(macros: BTreeMap<String, String>) -> Self {
        Self { context: KatexContext::default(), macros }
    }

    /// A formula in a line of text.
    pub fn inline(&self, latex: &str) -> Result<String, String> {
        self.render(latex, false, OutputFormat::HtmlAndMathml).map(|html| thin(&html))
    }

    /// A formula on a line of its own.
    pub fn display(&self, latex: &str) -> Result<String, String> {
        self.render(latex, true, OutputFormat::HtmlAndMathml).map(|html| thin(&html))
    }

    /// For the eye alone, where the same formula can be read elsewhere.
    pub fn picture(&self, latex: &str) -> Result<String, String> {
        self.render(latex, true, OutputFormat::Html).map(|html| thin(&html))
    }

    fn render(&self, latex: &str, display: bool, output: OutputFormat) -> Result<String, String> {
        let settings = Settings::builder()
            .display_mode(display)
            .output(output)
            .strict(StrictSetting::Mode(StrictMode::Error))
            .macros(
                self.macros
                    .iter()
                    .map(|(name, body)| (format!("\\{name}"), MacroDefinition::String(body.clone())))
                    .collect(),
            )
            .build();
        let html = render_to_string(&self.context, latex, &settings).map_err(|error| error.to_string())?;
        Ok(shield(&lighter(html)))
    }
}

/// Without what neither an eye nor a screen reader uses: the LaTeX beside the MathML, and its namespace, which HTML implies.
fn lighter(html: String) -> String {
    let Some((before, rest)) = html.split_once("<annotation") else { return html };
    let after = rest.split_once("</annotation>").map_or(rest, |(_, after)| after);
    let html = format!("{before}{after}").replace(" xmlns=\"http://www.w3.org/1998/Math/MathML\"", "");
    html.replacen("<semantics>", "", 1).replacen("</semantics>", "", 1)
}

/// Whether a formula contains a symbol: its text, not as a part of a longer name.
pub fn contains(latex: &str, symbol: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
    latex.match_indices(symbol).any(|(at, _)| {
        let (before, after) = (&latex[..at], &latex[at + symbol.len()..]);
        let inside_a_name = !symbol.starts_with('\\') && {
            let command = before.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            command.len() < before.len() || command.ends_with('\\')
        };
        let cut_short = is_letter(symbol.chars().last()) && is_letter(after.chars().next());
        !inside_a_name && !cut_short
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn math() -> Math {
        Math::new(BTreeMap::from([
            ("abar".into(), r"\bar{\alpha}".into()),
            ("N".into(), r"\mathcal{N}\!\left(#1\right)".into()),
        ]))
    }

    #[test]
    fn a_formula_becomes_html_that_markdown_leaves_alone() {
        let html = math().inline(r"\sqrt{\abar_t}\,x_0 + \N{0, I}").unwrap();
        assert!(html.starts_with("<span class=\"katex\">") && !html.contains('\n'));
    }

    #[test]
    fn a_formula_has_no_second_source() {
        let html = math().inline("x_0").unwrap();
        assert!(html.contains("<math><mrow>") && html.contains("katex-html"), "{html}");
        assert!(!html.contains("annotation") && !html.contains("semantics"), "{html}");
    }

    #[test]
    fn a_bad_formula_is_an_error() {
        for bad in [r"\frac{1}{", r"\nosuchcommand", "x_1_2", "√x"] {
            assert!(math().display(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn symbols_are_found_whole() {
        assert!(contains(r"\sqrt{\abar_t}", r"\abar") && !contains(r"\abars", r"\abar"));
        assert!(contains("t = T", "T") && !contains(r"\T + \mathrm{ELBOT}", "T"));
        assert!(contains("q(x_0)", "x_0"));
    }
}
