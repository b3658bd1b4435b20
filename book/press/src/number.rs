//! Numbers in the text: looked up in the JSON of a run, never typed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The JSON files of `book/src/results` and `book/src/figures`, by name without the ending.
#[derive(Debug, Default)]
pub struct Numbers(pub BTreeMap<String, Value>);

/// How a number is written: in prose or inside a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Text,
    Latex,
}

impl Numbers {
    pub fn read(folders: &[&Path]) -> Result<Self> {
        let mut files = BTreeMap::new();
        for folder in folders {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries {
                let path = entry?.path();
                let (Some(stem), Some("json")) = (path.file_stem(), path.extension().and_then(|e| e.to_str())) else {
                    continue;
                };
                let text = std::fs::read_to_string(&path)?;
                let value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
                files.insert(stem.to_string_lossy().into_owned(), value);
            }
        }
        Ok(Self(files))
    }

    /// `file.key.0.key format`: `.3` three decimals, `e1` powers of ten with one decimal, `%1` per cent, none as it is.
    pub fn show(&self, request: &str, style: Style) -> Result<String, String> {
        let (path, format) = request.trim().split_once(char::is_whitespace).unwrap_or((request.trim(), ""));
        let mut keys = path.split('.');
        let file = keys.next().unwrap_or_default();
        let missing = || format!("no run wrote a file {file}.json into book/src/results or book/src/figures");
        let mut value = self.0.get(file).ok_or_else(missing)?;
        for key in keys {
            let inner = match key.parse::<usize>() {
                Ok(index) if value.is_array() => value.get(index),
                _ => value.get(key),
            };
            value = inner.ok_or_else(|| format!("{file}.json has no `{key}` where {path} looks for it"))?;
        }
        match value {
            Value::Number(number) => {
                let number = number.as_f64().ok_or("the number is too large")?;
                Ok(styled(&format_number(number, format.trim())?, style))
            }
            Value::String(text) => Ok(text.clone()),
            other => Err(format!("{path} is no number but {other}")),
        }
    }
}

fn format_number(number: f64, format: &str) -> Result<String, String> {
    let digits = |text: &str| text.parse::<usize>().map_err(|_| format!("`{format}` is no format: .3, e1, %1 or none"));
    match format.chars().next() {
        None => Ok(with_minus(&thousands(&format!("{number}")))),
        Some('.') => Ok(with_minus(&thousands(&format!("{number:.*}", digits(&format[1..])?)))),
        Some('e') => Ok(scientific(number, digits(&format[1..])?)),
        Some('%') => Ok(with_minus(&format!("{:.*} %", digits(&format[1..])?, 100.0 * number))),
        Some(_) => digits(format).map(|_| String::new()),
    }
}

/// "2.3 × 10⁻¹⁶"; "10⁻¹²" for a power of ten without decimals.
pub fn scientific(number: f64, decimals: usize) -> String {
    if number == 0.0 || !number.is_finite() {
        return with_minus(&format!("{number}"));
    }
    let text = format!("{number:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power = format!("10{}", superscript(exponent));
    match (mantissa, exponent) {
        (_, "0") => with_minus(mantissa),
        ("1", _) => power,
        ("-1", _) => format!("−{power}"),
        _ => format!("{} × {power}", with_minus(mantissa)),
    }
}

fn superscript(digits: &str) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_digit(0, 10)
            .map_or(digit, |_| char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit)),
    };
    digits.chars().map(raised).collect()
}

/// Groups the digits before the point where there are more than four.
pub fn thousands(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = rest.find('.').map_or((rest, ""), |point| rest.split_at(point));
    if whole.len() <= 4 || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return number.into();
    }
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

fn with_minus(number: &str) -> String {
    number.replace('-', "−")
}

fn styled(text: &str, style: Style) -> String {
    if style == Style::Text {
        // A number is not torn apart at the end of a line.
        return text.replace(' ', "\u{a0}");
    }
    let plain = text.replace('−', "-").replace(',', "{,}").replace(" %", r"\,\%");
    let raised = |after: &str| after.starts_with(|c| "⁻⁰¹²³⁴⁵⁶⁷⁸⁹".contains(c));
    let Some((at, _)) = plain.match_indices("10").find(|(at, _)| raised(&plain[at + 2..])) else { return plain };
    let lower = |c| match c {
        '⁻' => '-',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        raised => char::from_u32(raised as u32 - '⁰' as u32 + '0' as u32).unwrap_or(raised),
    };
    let exponent: String = plain[at + 2..].chars().map(lower).collect();
    format!("{}10^{{{exponent}}}", plain[..at].replace(" × ", r" \times "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        let json = serde_json::json!({"gap": 4.04e-5, "runs": [{"n": 1234567}], "share": -0.125, "name": "sound"});
        Numbers(BTreeMap::from([("forward".into(), json)]))
    }

    #[test]
    fn numbers_are_formatted() {
        let show = |request| numbers().show(request, Style::Text).unwrap();
        assert_eq!(show("forward.gap e1"), "4.0\u{a0}×\u{a0}10⁻⁵");
        assert_eq!(show("forward.runs.0.n"), "1,234,567");
        assert_eq!(show("forward.share .2"), "−0.12");
        assert_eq!(show("forward.share %1"), "−12.5\u{a0}%");
        assert_eq!(show("forward.name"), "sound");
    }

    #[test]
    fn a_formula_gets_latex() {
        let show = |request| numbers().show(request, Style::Latex).unwrap();
        assert_eq!(show("forward.gap e1"), r"4.0 \times 10^{-5}");
        assert_eq!(show("forward.share %1"), r"-12.5\,\%");
    }

    #[test]
    fn what_no_run_wrote_is_an_error() {
        for bad in ["backward.gap", "forward.gape", "forward.runs.1.n", "forward.runs", "forward.gap x"] {
            assert!(numbers().show(bad, Style::Text).is_err(), "{bad}");
        }
    }
}
