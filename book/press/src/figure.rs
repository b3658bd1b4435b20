//! Figures: SVG that an example made, set into the page so that it follows the theme.

/// What a colour of the palette becomes. Figures use these and no others, so that both themes can show them.
/// The eight are those of Okabe and Ito, which colour-blind readers tell apart.
const PALETTE: [(&str, &str); 11] = [
    ("#000000", "currentColor"),
    ("#FFFFFF", "var(--fig-paper)"),
    ("#888888", "var(--fig-grey)"),
    ("#DDDDDD", "var(--fig-grid)"),
    ("#0072B2", "var(--fig-blue)"),
    ("#D55E00", "var(--fig-red)"),
    ("#009E73", "var(--fig-green)"),
    ("#CC79A7", "var(--fig-pink)"),
    ("#E69F00", "var(--fig-orange)"),
    ("#56B4E9", "var(--fig-sky)"),
    ("#F0E442", "var(--fig-yellow)"),
];

/// The most that a figure may weigh, in bytes.
const HEAVIEST: usize = 150_000;

/// Makes an SVG part of a page: its ids become unique, its colours follow the theme, its size follows the column.
pub fn inline(svg: &str, name: &str, alt: &str) -> Result<String, String> {
    if svg.len() > HEAVIEST {
        return Err(format!("the figure {name} weighs {} bytes; {HEAVIEST} is the most", svg.len()));
    }
    let start = svg.find("<svg").ok_or_else(|| format!("the figure {name} is no SVG"))?;
    let (tag, inside) = svg[start..].split_once('>').ok_or_else(|| format!("the figure {name} is no SVG"))?;
    let size = |name| attribute(tag, name).and_then(|text| text.trim_end_matches("px").parse::<f64>().ok());
    let view_box = match (attribute(tag, "viewBox"), size("width"), size("height")) {
        (Some(view_box), ..) => view_box.to_owned(),
        (None, Some(width), Some(height)) => format!("0 0 {width} {height}"),
        _ => return Err(format!("the figure {name} has no viewBox")),
    };
    let units = view_box.split_whitespace().nth(2).and_then(|text| text.parse().ok());
    let width = size("width").or(units).unwrap_or(720.0);
    let mut inside = inside.to_owned();
    for (colour, themed) in PALETTE {
        inside = inside.replace(&format!("\"{colour}\""), &format!("\"{themed}\""));
        inside = inside.replace(&format!("\"{}\"", colour.to_lowercase()), &format!("\"{themed}\""));
    }
    // The words are in the page already, and would only be a tooltip here.
    if let (Some(start), Some(end)) = (inside.find("<title>"), inside.find("</title>")) {
        inside.replace_range(start..end + "</title>".len(), "");
    }
    let inside = unique_ids(&inside, &format!("fig-{name}-"));
    let inside: Vec<&str> = inside.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(format!(
        "<svg viewBox=\"{view_box}\" style=\"max-width:{width}px\" role=\"img\" aria-label=\"{}\">{}",
        crate::html::escape(alt),
        inside.join(" ")
    ))
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[start..].find('"').map(|end| &tag[start..start + end])
}

fn unique_ids(svg: &str, prefix: &str) -> String {
    [" id=\"", "url(#", "href=\"#"]
        .iter()
        .fold(svg.to_owned(), |svg, mark| svg.replace(mark, &format!("{mark}{prefix}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_follows_the_theme_and_has_its_own_ids() {
        let svg = "<?xml version=\"1.0\"?>\n<svg width=\"90\" height=\"60\" viewBox=\"0 0 900 600\" xmlns=\"x\">\n<title>t</title>\n\n\
            <clipPath id=\"a\"/><path stroke=\"#0072B2\" clip-path=\"url(#a)\"/></svg>";
        let html = inline(svg, "forward-chain", "Two \"paths\"").unwrap();
        assert!(html.starts_with(
            "<svg viewBox=\"0 0 900 600\" style=\"max-width:90px\" role=\"img\" aria-label=\"Two &quot;paths&quot;\">"
        ));
        assert!(html.contains("id=\"fig-forward-chain-a\"") && html.contains("url(#fig-forward-chain-a)"));
        assert!(html.contains("stroke=\"var(--fig-blue)\"") && !html.contains('\n'));
    }

    #[test]
    fn a_picture_within_a_figure_stays_as_it_is() {
        let image = "<image style=\"image-rendering:pixelated\" href=\"data:image/png;base64,iVBORw0KGgo=\"/>";
        let html = inline(&format!("<svg viewBox=\"0 0 9 6\">{image}</svg>"), "mnist-samples", "Digits").unwrap();
        assert!(html.contains(image), "{html}");
    }

    #[test]
    fn a_heavy_figure_is_refused() {
        assert!(inline(&format!("<svg viewBox=\"0 0 1 1\">{}</svg>", "x".repeat(HEAVIEST)), "f", "a").is_err());
        assert!(inline("<p>", "f", "a").is_err());
    }
}
