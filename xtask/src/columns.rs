//! Text in columns, for a terminal.

/// Rows of cells; a row of one cell is a heading.
pub struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub fn heading(&mut self, text: &str) {
        self.rows.push(vec![text.to_owned()]);
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, no wider than `width` where that is given. The last column is shortened to fit; where too little is left
    /// for it, it stands below its row.
    pub fn text(&self, width: Option<usize>) -> String {
        let last = self.rows[0].len() - 1;
        let table = || self.rows.iter().filter(|row| row.len() > 1);
        let widths: Vec<usize> =
            (0..last).map(|i| table().map(|row| columns(&row[i])).max().unwrap_or_default()).collect();
        // Numbers are set flush right.
        let right: Vec<bool> = (0..last)
            .map(|i| table().skip(1).all(|row| row[i].starts_with(|c: char| c.is_ascii_digit() || c == '–')))
            .collect();
        let room = width.map(|width| width.saturating_sub(2 + widths.iter().map(|width| width + 2).sum::<usize>()));
        let wanted = table().map(|row| columns(&row[last])).max().unwrap_or_default();
        let beside = room.is_none_or(|room| room >= wanted.min(40));

        let mut text = String::new();
        for row in &self.rows {
            if let [heading] = row.as_slice() {
                text += &format!("\n{heading}\n");
                continue;
            }
            let padded: Vec<String> = (0..last).map(|i| pad(&row[i], widths[i], right[i])).collect();
            let line = format!("  {}", padded.join("  "));
            let line = if beside {
                format!("{line}  {}", shorten(&row[last], room))
            } else {
                format!(
                    "{}\n      {}",
                    line.trim_end(),
                    shorten(&row[last], width.map(|width| width.saturating_sub(6)))
                )
            };
            text += line.trim_end();
            text += "\n";
        }
        text
    }
}

/// The width of the terminal that standard output goes to; `None` where it goes elsewhere.
pub fn terminal_width() -> Option<usize> {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let from_variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    let output = std::process::Command::new("stty").arg("size").stdin(std::process::Stdio::inherit()).output();
    let from_stty = || String::from_utf8(output.ok()?.stdout).ok()?.split_whitespace().nth(1)?.parse().ok();
    from_variable().or_else(from_stty).filter(|&width| width > 0)
}

/// How an error or a time is written: three digits where it is handy, else two digits and a power of ten.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        1e-3..1e4 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// 12,345,678.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

/// "1 check", "2 checks".
pub fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(n), if n == 1 { "" } else { "s" })
}

fn pad(cell: &str, width: usize, right: bool) -> String {
    let blanks = " ".repeat(width.saturating_sub(columns(cell)));
    if right { blanks + cell } else { cell.to_owned() + &blanks }
}

/// How many columns a text takes: marks that stand over a letter take none.
fn columns(text: &str) -> usize {
    text.chars().filter(|c| !combining(*c)).count()
}

fn combining(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// Cuts a text off at `width` columns, if it is longer.
fn shorten(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|&width| columns(text) > width) else { return text.to_owned() };
    let mut left = width.saturating_sub(1);
    let kept = text.chars().take_while(|&c| {
        let take = combining(c) || left > 0;
        left = left.saturating_sub(usize::from(!combining(c)));
        take
    });
    kept.collect::<String>() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Columns {
        let mut table = Columns::new(&["slug", "cases", "formula"]);
        table.heading("forward");
        table.row(["q".into(), "7".into(), "x = 1 + ᾱ".into()]);
        table.row(["q_sample".into(), "256".into(), "y".into()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "  slug      cases  formula\n\nforward\n  q             7  x = 1 + ᾱ\n  q_sample    256  y\n";
        assert_eq!(table().text(None), expected);
        assert_eq!(table().text(Some(80)), expected);
    }

    #[test]
    fn a_narrow_terminal_has_the_last_column_below() {
        let text = table().text(Some(20));
        assert!(text.contains("  q             7\n      x = 1 + ᾱ\n"), "{text}");
        assert!(text.lines().all(|line| columns(line) <= 20), "{text}");
    }

    #[test]
    fn what_is_too_long_is_cut_off() {
        assert_eq!(shorten("abcdef", Some(4)), "abc…");
        assert_eq!(shorten("a\u{304}bcdef", Some(2)), "a\u{304}…");
        assert_eq!(shorten("abcd", Some(4)), "abcd");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 1.5, 1e-15, 6.5e4].map(number), ["0", "1.500", "1.0e-15", "6.5e4"]);
        assert_eq!([7, 1234, 12_345_678].map(thousands), ["7", "1,234", "12,345,678"]);
        assert_eq!((count(1, "check"), count(2000, "check")), ("1 check".into(), "2,000 checks".into()));
    }
}
