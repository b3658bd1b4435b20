//! HTML that passes through Markdown unharmed.

use std::collections::BTreeMap;

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

/// A sentence of a docstring, or of a report, as HTML: no links, the indices of x_t and x_{t−1} below the line, code as code.
pub fn from_rustdoc(sentence: &str) -> String {
    let mut out = String::new();
    let mut rest = sentence;
    let mut in_code = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let (html, length) = match c {
            '`' => {
                in_code = !in_code;
                (if in_code { "<code>" } else { "</code>" }.to_owned(), 1)
            }
            '[' if after.starts_with('`') => (String::new(), 1),
            ']' if rest.starts_with("](") => (String::new(), rest.find(')').map_or(1, |end| end + 1)),
            ']' if out.ends_with("</code>") => (String::new(), 1),
            '_' if !in_code && after.starts_with('{') => {
                let end = after.find('}').unwrap_or(after.len() - 1);
                (format!("<sub>{}</sub>", escape(&after[1..end])), end + 2)
            }
            '_' if !in_code && after.starts_with(char::is_alphanumeric) => {
                let index: String = after.chars().take(1).collect();
                (format!("<sub>{index}</sub>"), 1 + index.len())
            }
            other => (escape(&other.to_string()), other.len_utf8()),
        };
        out.push_str(&html);
        rest = &rest[length..];
    }
    out
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

/// The pieces of which KaTeX writes most, and shorter ones, which `style/book.css` draws alike.
const SHORTER: [(&str, &str); 21] = [
    (r#"<span class="mspace" style="margin-right:-0.1667em;"></span>"#, "<i class=\"s0\"></i>"),
    (r#"<span class="mspace" style="margin-right:0.1667em;"></span>"#, "<i class=\"s3\"></i>"),
    (r#"<span class="mspace" style="margin-right:0.2222em;"></span>"#, "<i class=\"s4\"></i>"),
    (r#"<span class="mspace" style="margin-right:0.2778em;"></span>"#, "<i class=\"s5\"></i>"),
    (r#"<span class="pstrut" style="height:2.7em;"></span>"#, "<i class=\"p2\"></i>"),
    (r#"<span class="pstrut" style="height:3em;"></span>"#, "<i class=\"p3\"></i>"),
    (r#"<span class="katex-sizing reset-size6 size3 mtight">"#, "<span class=\"z\">"),
    (r#"<span class="mopen nulldelimiter"></span>"#, "<i class=\"d\"></i>"),
    (r#"<span class="mclose nulldelimiter"></span>"#, "<i class=\"d\"></i>"),
    (r#"<span class="frac-line" style="border-bottom-width:0.04em;"></span>"#, "<i class=\"f\"></i>"),
    ("<span class=\"vlist-s\">\u{200b}</span>", "<i class=\"v\">\u{200b}</i>"),
    ("<span class=\"katex-mathml\"><math", "<math"),
    ("</math></span>", "</math>"),
    // These say nothing to the eye, or to a reader of MathML.
    (" delimcenter\" style=\"top:0em;\">", "\">"),
    ("<span class=\"mord mathnormal", "<span class=\"mathnormal"),
    (" mtight", ""),
    ("margin-left:0em;", ""),
    ("<span class=\"mathnormal\" style=\"margin-right:0.0359em;\">", "<span class=\"m\">"),
    ("<span class=\"mathnormal\">", "<span class=\"n\">"),
    (" stretchy=\"false\"", ""),
    (" fence=\"true\"", ""),
];

/// What a symbol is to the formula. KaTeX has made the spaces of it, and no style knows it any more.
const KINDS: [&str; 7] = ["mord", "mbin", "mrel", "mopen", "mclose", "mpunct", "mop"];

/// The same formula in fewer bytes: a page has hundreds of them.
pub fn thin(formula: &str) -> String {
    let short = SHORTER.iter().fold(formula.to_owned(), |html, (long, short)| html.replace(long, short));
    // Twice, since a delimiter stands in two such boxes.
    let unboxed = (0..2).fold(short, |html, _| KINDS.iter().fold(html, |html, kind| unboxed(&html, kind)));
    unboxed.replace("<span class=\"mord\">", "<span>")
}

/// Without the boxes of a kind that have nothing but text in them.
fn unboxed(html: &str, kind: &str) -> String {
    let open = format!("<span class=\"{kind}\">");
    let mut pieces = html.split(&open);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once("</span>") {
            Some((text, rest)) if !text.contains('<') => out.extend([text, rest]),
            _ => out.extend([open.as_str(), piece]),
        }
    }
    out
}

/// Long outlines that a page has several times (those of roots, mostly) are written once, at its end.
pub fn share_paths(page: &str) -> String {
    const LONG: usize = 150;
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for (start, _) in page.match_indices("<path d=\"") {
        if let Some(end) = page[start + 9..].find('"').filter(|end| *end > LONG) {
            *count.entry(&page[start + 9..start + 9 + end]).or_default() += 1;
        }
    }
    let mut out = page.to_owned();
    let mut shared = String::new();
    for (outline, _) in count.into_iter().filter(|(_, count)| *count > 2) {
        let name = outline
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let replaced = [" />", "/>", "></path>"].iter().fold(out.clone(), |text, end| {
            text.replace(&format!("<path d=\"{outline}\"{end}"), &format!("<use href=\"#path-{name:x}\"/>"))
        });
        if replaced != out {
            out = replaced;
            shared.push_str(&format!("<path id=\"path-{name:x}\" stroke=\"none\" d=\"{outline}\"/>"));
        }
    }
    if shared.is_empty() {
        return out;
    }
    format!(
        "{out}\n\n<div class=\"shared\"><svg width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>{shared}</defs></svg></div>\n"
    )
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
    fn a_formula_is_written_in_few_bytes() {
        let space = r#"<span class="mord">x</span><span class="mspace" style="margin-right:0.2778em;"></span>"#;
        assert_eq!(thin(space), "x<i class=\"s5\"></i>");
        let delimiter = r#"<span class="mopen delimcenter" style="top:0em;"><span class="mopen">(</span></span>"#;
        assert_eq!(thin(delimiter), "(");
        let nested = r#"<span class="mord"><span class="mord mathnormal mtight">x</span></span>"#;
        assert_eq!(thin(nested), r#"<span><span class="n">x</span></span>"#);
    }

    #[test]
    fn raised_digits_are_set_as_superscripts() {
        assert_eq!(powers("2.3 × 10⁻¹⁶ of 10⁵"), "2.3 × 10<sup>−16</sup> of 10<sup>5</sup>");
    }

    #[test]
    fn outlines_that_come_again_are_shared() {
        let long = "M1 2".repeat(50);
        let one = format!("<svg><path d=\"{long}\"/></svg><svg><path d=\"M0 0\"/></svg>");
        assert_eq!(share_paths(&one), one);
        let shared = share_paths(&one.repeat(3));
        assert_eq!((shared.matches(&long).count(), shared.matches("<use href=\"#path-").count()), (1, 3));
    }

    #[test]
    fn sentences_of_docstrings_are_set() {
        assert_eq!(
            from_rustdoc("x_{t−1} → x_t by [`q_step`](crate::a)."),
            "x<sub>t−1</sub> → x<sub>t</sub> by <code>q_step</code>."
        );
        assert_eq!(from_rustdoc("[`mean_x`] & [0, 1]"), "<code>mean_x</code> &amp; [0, 1]");
    }

    #[test]
    fn the_search_sees_words_only() {
        let text = format!("so {} it is, and {}.", unsearched("<b>x</b>"), unsearched("y"));
        assert_eq!(words_only(&text), "so  it is, and .");
    }
}
