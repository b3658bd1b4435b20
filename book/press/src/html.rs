//! HTML that passes through Markdown unharmed.

/// What stands between these two is shown, but not searched: formulas, plots, tables of measurements.
const HIDE: &str = "<!--s-->";
const SHOW: &str = "<!--/s-->";

/// Keeps a piece of HTML out of the search index. It must not stand at the beginning of a line.
pub fn unsearched(html: &str) -> String {
    format!("{HIDE}{html}{SHOW}")
}

/// The same text without what [`unsearched`] marked.
pub fn words_only(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(HIDE) {
        words.push_str(&rest[..start]);
        rest = rest[start..].find(SHOW).map_or("", |end| &rest[start + end + SHOW.len()..]);
    }
    words + rest
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Writes all punctuation between tags as entities, so that Markdown finds nothing to interpret there.
pub fn shield(html: &str) -> String {
    let mut out = String::with_capacity(html.len() * 2);
    let mut rest = html;
    while let Some(c) = rest.chars().next() {
        if c == '<' {
            let end = rest.find('>').map_or(rest.len(), |end| end + 1);
            out.push_str(&rest[..end].replace('|', "&#124;").replace('\n', " "));
            rest = &rest[end..];
            continue;
        }
        match entity(rest) {
            Some(length) => {
                out.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            None if c == '\n' => out.push(' '),
            None if c.is_ascii_punctuation() => out.push_str(&format!("&#{};", c as u32)),
            None => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The length of the entity that the text begins with.
fn entity(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('&')?;
    let end = inside.find(';').filter(|end| (1..=8).contains(end))?;
    let name = inside[..end].strip_prefix('#').unwrap_or(&inside[..end]);
    name.chars().all(|c| c.is_ascii_alphanumeric()).then_some(end + 2)
}

/// Sets the raised digits of "10⁻¹²" as a superscript, which every font has.
pub fn powers(text: &str) -> String {
    const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
    let mut out = String::new();
    let mut raised = false;
    for c in text.chars() {
        let plain = RAISED.chars().position(|r| r == c).map(|at| "0123456789−".chars().nth(at).unwrap_or(c));
        if plain.is_some() != raised {
            out.push_str(if raised { "</sup>" } else { "<sup>" });
            raised = !raised;
        }
        out.push(plain.unwrap_or(c));
    }
    out + if raised { "</sup>" } else { "" }
}

/// A word for an id: letters, digits, `-` and `_`.
pub fn id(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_finds_nothing_in_shielded_html() {
        assert_eq!(shield("<b class=\"a|b\">x_1 * y_2</b>"), "<b class=\"a&#124;b\">x&#95;1 &#42; y&#95;2</b>");
        assert_eq!(shield("a &lt; b &#8722; c & d"), "a &lt; b &#8722; c &#38; d");
    }

    #[test]
    fn raised_digits_are_set_as_superscripts() {
        assert_eq!(powers("2.3 × 10⁻¹⁶ of 10⁵"), "2.3 × 10<sup>−16</sup> of 10<sup>5</sup>");
    }

    #[test]
    fn the_search_sees_words_only() {
        let text = format!("so {} it is, and {}.", unsearched("<b>x</b>"), unsearched("y"));
        assert_eq!(words_only(&text), "so  it is, and .");
    }
}
