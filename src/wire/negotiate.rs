//! Who is asking: a person who navigates, or a program.

use http::header::{ACCEPT, UPGRADE};
use http::{HeaderMap, Method};

/// Whether the answer to a refusal is a page or a redirect for a person; else it is a document.
///
/// Browsers say `Sec-Fetch-Mode: navigate` for navigations and name `text/html` in `Accept`; scripts
/// say neither by default. `*/*` alone is a program.
pub fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let navigates = text("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    let scripted = text("x-requested-with").is_some_and(|by| by == "XMLHttpRequest");
    let reads_html = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.split(',').any(is_html));
    let page_method = [Method::GET, Method::HEAD, Method::POST].contains(method);
    page_method && navigates && !scripted && reads_html && !headers.contains_key(UPGRADE)
}

fn is_html(range: &str) -> bool {
    let kind = range.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn people_and_programs_are_told_apart() {
        for (fields, page) in [
            (&[("accept", "text/html,application/xml;q=0.9")][..], true),
            (
                &[("accept", "text/html"), ("sec-fetch-mode", "navigate")],
                true,
            ),
            (
                &[("accept", "text/html"), ("sec-fetch-mode", "cors")],
                false,
            ),
            (&[("accept", "*/*")], false),
            (&[("accept", "application/json")], false),
            (&[], false),
            (
                &[
                    ("accept", "text/html"),
                    ("x-requested-with", "XMLHttpRequest"),
                ],
                false,
            ),
            (&[("accept", "text/html"), ("upgrade", "websocket")], false),
        ] {
            let headers: HeaderMap = fields
                .iter()
                .map(|&(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect();
            assert_eq!(wants_page(&Method::GET, &headers), page, "{fields:?}");
        }
    }
}
