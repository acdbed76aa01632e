//! The style sheet and the icon: compiled in, named after their content, kept by browsers for good.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use crate::wire::{Body, Response};

/// A file that pages refer to.
pub(super) struct Asset {
    path: String,
    kind: &'static str,
    /// What a browser says that it asks for it as (`Sec-Fetch-Dest`).
    pub(super) destination: &'static str,
    content: &'static str,
}

/// Where the style sheet is.
pub(super) fn style_path() -> &'static str {
    &STYLE.path
}

/// Where the icon is.
pub(super) fn icon_path() -> &'static str {
    &ICON.path
}

/// The style sheet, for a page that holds it.
pub(super) fn style() -> &'static str {
    STYLE.content
}

/// The style sheet as a policy names it (CSP 3, section 6.7.3.3).
pub(super) fn style_hash() -> String {
    let hash = STANDARD.encode(digest(&SHA256, style().as_bytes()));
    format!("sha256-{hash}")
}

/// The icon as an address of its own.
pub(super) fn icon_inside() -> &'static str {
    &ICON_INSIDE
}

/// The file at a path, if there is one.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    let all: [&'static Asset; 2] = [&STYLE, &ICON];
    all.into_iter().find(|asset| asset.path == path)
}

impl Asset {
    /// The file as an answer.
    pub(super) fn answer(&self) -> Response {
        let mut response = Response::new(Body::from(self.content));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

fn asset(
    extension: &str,
    (kind, destination): (&'static str, &'static str),
    content: &'static str,
) -> Asset {
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, content.as_bytes()));
    let mark = hash.get(..12).unwrap_or_default();
    Asset {
        path: format!("/.portcullis/assets/portcullis-{mark}.{extension}"),
        kind,
        destination,
        content,
    }
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "css",
        ("text/css; charset=utf-8", "style"),
        include_str!("assets/style.css"),
    )
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "svg",
        ("image/svg+xml", "image"),
        include_str!("assets/icon.svg"),
    )
});

static ICON_INSIDE: LazyLock<String> = LazyLock::new(|| {
    let icon = STANDARD.encode(ICON.content);
    format!("data:image/svg+xml;base64,{icon}")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_whole_name_only() {
        assert!(find(style_path()).is_some());
        assert!(find(icon_path()).is_some());
        assert!(find("/.portcullis/assets/portcullis.css").is_none());
        assert!(find("/.portcullis/assets/").is_none());
    }
}
