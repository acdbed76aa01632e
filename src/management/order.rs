//! What a call asks for, read once: its user and its body.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::caller::Caller;
use crate::model::UserName;
use crate::wire::{Body, Problem, body};

/// A call by somebody who may make it.
pub(super) struct Order {
    pub(super) caller: Caller,
    /// The segment of the path that names a user, as written there.
    pub(super) user: Option<String>,
    pub(super) body: Fields,
}

/// The members of a JSON object. Asked for one by one; what is wrong with any of them is collected.
#[derive(Debug, Default)]
pub(super) struct Fields {
    members: Map<String, Value>,
    known: Vec<&'static str>,
    faults: Vec<(String, String)>,
}

impl Order {
    /// The user whom the path names; `None` for a text that is nobody's name.
    pub(super) fn user(&self) -> Option<UserName> {
        let text = percent_decoded(self.user.as_deref()?)?;
        UserName::parse(&text).ok()
    }
}

impl Fields {
    /// Reads a body to its end. An empty one is an object without members.
    ///
    /// # Errors
    /// 413 for more than [`MOST_BYTES`], 415 for another type than JSON, 400 for what is no JSON, 422
    /// for JSON that is no object.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let bytes = body::whole(body, MOST_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        if !is_json(headers) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not JSON")
                .detail("send the body with Content-Type: application/json"));
        }
        let value: Value = serde_json::from_slice(&bytes).map_err(|fault| {
            Problem::new(StatusCode::BAD_REQUEST, "bad JSON")
                .detail(format!("the body is no JSON: {fault}"))
        })?;
        match value {
            Value::Object(members) => Ok(Self {
                members,
                ..Self::default()
            }),
            _ => Err(unprocessable("the body has to be a JSON object, like {}")),
        }
    }

    /// A text that may be absent or null, at most `longest` characters, on one line.
    pub(super) fn text(&mut self, name: &'static str, longest: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.chars().count() > longest => {
                self.fault(name, format!("at most {longest} characters are possible"))
            }
            Value::String(text) if text.chars().any(char::is_control) => {
                self.fault(name, "control characters and line breaks are not possible")
            }
            Value::String(text) => Some(text),
            _ => self.fault(name, "this has to be a text"),
        }
    }

    /// A text that `parse` turns into what is meant.
    pub(super) fn parsed<T, E: ToString>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name, LONGEST_WORD)?;
        match parse(&text) {
            Ok(meant) => Some(meant),
            Err(why) => self.fault(name, why.to_string()),
        }
    }

    /// A text as it is, whatever is in it: for passwords, which are judged by others.
    pub(super) fn verbatim(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.fault(name, "this has to be a text"),
        }
    }

    /// A list of texts, each of which `parse` turns into what is meant.
    pub(super) fn list<T, E: ToString>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let Value::Array(items) = self.take(name)? else {
            return self.fault(name, "this has to be a list of texts");
        };
        let mut list = Vec::new();
        for item in &items {
            match item.as_str().map(&parse) {
                Some(Ok(meant)) => list.push(meant),
                Some(Err(why)) => return self.fault(name, why.to_string()),
                None => return self.fault(name, "this has to be a list of texts"),
            }
        }
        Some(list)
    }

    /// `true` or `false`; absent is `false`.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => self
                .fault(name, "this has to be true or false")
                .unwrap_or(false),
        }
    }

    /// Something that was read is wrong all the same.
    pub(super) fn fault<T>(&mut self, name: &str, why: impl Into<String>) -> Option<T> {
        self.faults.push((name.to_owned(), why.into()));
        None
    }

    /// What must not be absent.
    pub(super) fn needed<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        let told = self.faults.iter().any(|(field, _)| field == name);
        if value.is_none() && !told {
            return self.fault(name, "this is needed");
        }
        value
    }

    /// # Errors
    /// 422 that names every field with what is wrong about it, unknown fields included.
    pub(super) fn finish(&mut self) -> Result<(), Problem> {
        let unknown = std::mem::take(&mut self.members);
        for (name, _) in unknown {
            let known = match self.known.as_slice() {
                [] => "this call takes no body".to_owned(),
                known => format!(
                    "this call does not know it; possible are {}",
                    known.join(", ")
                ),
            };
            self.faults.push((name, known));
        }
        let Some((first, why)) = self.faults.first() else {
            return Ok(());
        };
        let problem = unprocessable(&format!("{first}: {why}")).field("field", first.as_str());
        let all = self
            .faults
            .iter()
            .map(|(field, detail)| serde_json::json!({ "field": field, "detail": detail }));
        Err(problem.field("errors", Value::Array(all.collect())))
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members.remove(name).filter(|value| !value.is_null())
    }
}

fn unprocessable(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not possible").detail(detail)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return false;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// `None` for bad encoding and for bytes that are no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

const MOST_BYTES: usize = 64 * 1024;
const LONGEST_WORD: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use http_body_util::BodyExt;

    use super::*;

    async fn read(body: &str) -> Result<Fields, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        Fields::read(&headers, Body::from(body.to_owned())).await
    }

    fn status<T>(result: Result<T, Problem>) -> u16 {
        result
            .err()
            .map_or(200, |problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn what_is_no_object_is_refused() {
        for (body, expected) in [
            ("", 200),
            ("{}", 200),
            ("{", 400),
            ("{}{}", 400),
            ("[]", 422),
            ("null", 422),
            (&"[".repeat(10_000), 400),
            (&" ".repeat(MOST_BYTES + 1), 413),
        ] {
            assert_eq!(status(read(body).await), expected, "{body:.20}");
        }
    }

    #[tokio::test]
    async fn a_body_says_that_it_is_json() {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let read = Fields::read(&headers, Body::from("{}")).await;
            assert_eq!(status(read), 415, "{kind}");
        }
        assert_eq!(
            status(Fields::read(&HeaderMap::new(), Body::from("{}")).await),
            415
        );
        assert_eq!(
            status(Fields::read(&HeaderMap::new(), Body::empty()).await),
            200
        );
    }

    #[tokio::test]
    async fn every_wrong_field_is_named() {
        let mut fields = read("{\"a\": 1, \"b\": \"x\\ny\", \"c\": \"x\", \"d\": 1}")
            .await
            .unwrap();
        assert_eq!(fields.text("a", 5), None);
        assert_eq!(fields.text("b", 5), None);
        assert!(!fields.flag("c"));
        let absent = fields.text("e", 5);
        assert_eq!(fields.needed("e", absent), None);
        let response = fields.finish().unwrap_err().into_response();
        assert_eq!(response.status(), 422);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let named: Vec<&str> = document["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert_eq!(named, ["a", "b", "c", "e", "d"]);
        assert_eq!(document["field"], "a");
    }

    #[test]
    fn users_are_decoded_once() {
        for (text, decoded) in [
            ("ada", Some("ada")),
            ("ada%40x", Some("ada@x")),
            ("a%2540", Some("a%40")),
            ("a%", None),
            ("a%4", None),
            ("a%+4", None),
            ("a%ff", None),
            ("a%\u{fc}", None),
        ] {
            assert_eq!(percent_decoded(text).as_deref(), decoded, "{text}");
        }
    }
}
