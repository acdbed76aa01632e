//! What a form sends, read strictly: what could be read in two ways is refused, not repaired.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;

use crate::secret::Secret;
use crate::wire::{Body, Problem, body};

/// The fields of one form. Values may be passwords, so none is printed and all are wiped.
#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<(String, Secret<String>)>,
}

impl Form {
    /// Reads the body of a POST.
    ///
    /// # Errors
    /// 415 for anything but `application/x-www-form-urlencoded`, 413 above 64 KiB, 408 for a body
    /// that is too slow, 400 for one that breaks off, has more than a hundred fields or is badly encoded.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        if !is_form(headers) {
            return Err(wrong_kind());
        }
        let bytes = Secret::new(body::whole(body, MAX_BYTES).await?.to_vec());
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| badly_encoded())?;
        Self::parse(text)
    }

    /// Reads `application/x-www-form-urlencoded` text (WHATWG URL §5.1).
    ///
    /// # Errors
    /// 400 for more than a hundred fields and for bad percent-encoding.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        if pairs.clone().count() > MAX_FIELDS {
            return Err(bad("the form has more than a hundred fields"));
        }
        let fields = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decoded(name)?, Secret::new(decoded(value)?)))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Self { fields })
    }

    /// The value of a field that has to be there, once.
    ///
    /// # Errors
    /// 400 naming the field when it is missing or repeated.
    pub(super) fn required(&self, name: &'static str) -> Result<&Secret<String>, Problem> {
        self.optional(name)?
            .ok_or_else(|| bad(format!("the form has no field \"{name}\"")).field("field", name))
    }

    /// The value of a field that may be there, once.
    ///
    /// # Errors
    /// 400 naming the field when it is repeated.
    pub(super) fn optional(&self, name: &'static str) -> Result<Option<&Secret<String>>, Problem> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value);
        match values.next() {
            None => Ok(value),
            Some(_) => Err(
                bad(format!("the form has the field \"{name}\" more than once"))
                    .field("field", name),
            ),
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(KIND))
        && kinds.next().is_none()
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = spaced.as_bytes();
    let is_sound = (0..bytes.len())
        .filter(|&at| bytes.get(at) == Some(&b'%'))
        .all(|at| hex(bytes.get(at + 1)) && hex(bytes.get(at + 2)));
    if !is_sound {
        return Err(badly_encoded());
    }
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| badly_encoded())
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "form not understood").detail(detail)
}

fn badly_encoded() -> Problem {
    bad("the form is not text in UTF-8, or its percent-encoding is broken")
}

fn wrong_kind() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not a form")
        .detail(format!("the gateway's pages take {KIND} only"))
        // RFC 9110 §15.5.16: what would have been taken.
        .header(ACCEPT, HeaderValue::from_static(KIND))
}

const KIND: &str = "application/x-www-form-urlencoded";
const MAX_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: &str, body: String) -> Result<Form, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        Form::read(&headers, Body::from(body)).await
    }

    #[tokio::test]
    async fn fields_are_decoded() {
        let body = "user=ada&password=a+b%2Bc%26%C3%A9&flag";
        let form = read(
            "application/x-www-form-urlencoded; charset=utf-8",
            body.into(),
        )
        .await
        .unwrap();
        assert_eq!(form.required("user").unwrap().expose(), "ada");
        assert_eq!(form.required("password").unwrap().expose(), "a b+c&é");
        assert_eq!(form.required("flag").unwrap().expose(), "");
        assert!(form.optional("next").unwrap().is_none());
    }

    #[tokio::test]
    async fn what_could_be_read_in_two_ways_is_refused() {
        for (kind, body, status) in [
            ("text/plain", "code=1".to_owned(), 415),
            ("application/json", "{}".to_owned(), 415),
            ("multipart/form-data; boundary=x", String::new(), 415),
            (KIND, "a".repeat(MAX_BYTES + 1), 413),
            (KIND, "a&".repeat(101), 400),
            (KIND, "code=%zz".to_owned(), 400),
            (KIND, "code=%4".to_owned(), 400),
            (KIND, "code=%ff".to_owned(), 400),
        ] {
            let fault = read(kind, body).await.unwrap_err();
            assert_eq!(fault.status(), status, "{kind}: {fault:?}");
        }
    }

    #[tokio::test]
    async fn a_field_that_is_missing_or_repeated_is_named() {
        let form = read(KIND, "code=1&code=2&code[]=3".into()).await.unwrap();
        for (result, name) in [
            (form.required("code").map(|_| ()), "code"),
            (form.required("user").map(|_| ()), "user"),
        ] {
            let fault = result.unwrap_err();
            assert_eq!(fault.status(), 400);
            assert!(fault.detail_text().contains(name), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_hundred_fields_and_64_kib_are_taken() {
        assert!(read(KIND, "a&".repeat(100)).await.is_ok());
        assert!(read(KIND, "a".repeat(MAX_BYTES)).await.is_ok());
    }
}
