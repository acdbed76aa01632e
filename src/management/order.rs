//! What a call asks for, read once: the segment of its path, its query and its body.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::caller::Caller;
use super::calls::{Access, Call};
use super::member::Member;
use super::once::Once;
use crate::model::{Actor, UserName};
use crate::wire::{Body, Problem, body};

/// A call by somebody who may make it.
pub(super) struct Order {
    pub(super) caller: Caller,
    pub(super) access: Access,
    /// The segment of the path that the call leaves open, as written there.
    pub(super) segment: Option<String>,
    pub(super) query: Fields,
    pub(super) body: Fields,
}

/// The members of a JSON object, or of a query. Asked for one by one; what is wrong with any of them
/// is collected. A call asks for every member that it declares and for no other.
#[derive(Debug)]
pub(super) struct Fields {
    members: Map<String, Value>,
    declared: &'static [Member],
    asked: Vec<&'static str>,
    faults: Vec<(String, String)>,
    refusal: StatusCode,
}

impl Order {
    /// Refuses members where the call declares none: its handler does not look for them.
    ///
    /// # Errors
    /// As [`Fields::finish`].
    pub(super) fn takes_nothing_else(&mut self, call: &Call) -> Result<(), Problem> {
        if call.query.is_empty() {
            self.query.finish()?;
        }
        if call.body.is_empty() {
            self.body.finish()?;
        }
        Ok(())
    }

    /// Who does what is asked for, and by which credential.
    ///
    /// # Errors
    /// 403 where no one was asked who it is.
    pub(super) fn actor(&self) -> Result<Actor, Problem> {
        self.caller.actor(self.access).ok_or_else(|| {
            Problem::new(StatusCode::FORBIDDEN, "who is calling?")
                .detail("nothing is changed for a caller that has not said who it is")
        })
    }

    /// The user whom the path names; `None` for a text that is nobody's name.
    pub(super) fn user(&self) -> Option<UserName> {
        UserName::parse(&self.segment()?).ok()
    }

    /// The open segment, decoded; `None` for bad encoding.
    pub(super) fn segment(&self) -> Option<String> {
        percent_decoded(self.segment.as_deref()?)
    }
}

impl Fields {
    /// Reads a body to its end. An empty one is an object without members.
    ///
    /// # Errors
    /// 413 for more than [`MOST_BYTES`], 415 for another type than JSON, 400 for what is no JSON, 422
    /// for JSON that is no object.
    pub(super) async fn read(
        headers: &HeaderMap,
        body: Body,
        declared: &'static [Member],
    ) -> Result<Self, Problem> {
        let bytes = body::whole(body, MOST_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self::none(declared));
        }
        if !is_json(headers) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not JSON")
                .detail("send the body with Content-Type: application/json"));
        }
        let Once(value) = serde_json::from_slice(&bytes).map_err(|fault| {
            Problem::new(StatusCode::BAD_REQUEST, "bad JSON")
                .detail(format!("the body can't be read as JSON: {fault}"))
        })?;
        match value {
            Value::Object(members) => Ok(Self {
                members,
                ..Self::none(declared)
            }),
            _ => Err(
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not possible")
                    .detail("the body has to be a JSON object, like {}"),
            ),
        }
    }

    /// Reads the query of a target: `name=value` pairs, each name once.
    ///
    /// # Errors
    /// 400 for bad encoding and for a name that is given twice.
    pub(super) fn of_query(
        query: Option<&str>,
        declared: &'static [Member],
    ) -> Result<Self, Problem> {
        let bad =
            |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad query").detail(detail);
        let mut members = Map::new();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (percent_decoded(name), percent_decoded(value)) else {
                return Err(bad("the percent-encoding of the query is broken".to_owned()));
            };
            if members.contains_key(&name) {
                return Err(bad(format!("{name} is given twice")).field("field", name));
            }
            members.insert(name, Value::String(value));
        }
        Ok(Self {
            members,
            refusal: StatusCode::BAD_REQUEST,
            ..Self::none(declared)
        })
    }

    /// A body without members.
    pub(super) fn none(declared: &'static [Member]) -> Self {
        Self {
            members: Map::new(),
            declared,
            asked: Vec::new(),
            faults: Vec::new(),
            refusal: StatusCode::UNPROCESSABLE_ENTITY,
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

    /// The same where `null` means that there shall be none.
    pub(super) fn parsed_or_null<T, E: ToString>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        if self.members.get(name).is_some_and(Value::is_null) {
            self.take(name);
            return Some(None);
        }
        self.parsed(name, parse).map(Some)
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

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.fault(name, "this has to be true or false"),
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
    /// 422, or 400 for a query, that names every field with what is wrong about it, unknown fields
    /// included.
    pub(super) fn finish(&mut self) -> Result<(), Problem> {
        debug_assert!(
            self.declared
                .iter()
                .all(|member| self.asked.contains(&member.name)),
            "a member is declared and not asked for: {:?}",
            self.declared
        );
        let unknown = std::mem::take(&mut self.members);
        for (name, _) in unknown {
            let known: Vec<&str> = self.declared.iter().map(|member| member.name).collect();
            let known = match known.as_slice() {
                [] => "this call takes none".to_owned(),
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
        let problem = Problem::new(self.refusal, "not possible")
            .detail(format!("{first}: {why}"))
            .field("field", first.as_str());
        let all = self
            .faults
            .iter()
            .map(|(field, detail)| serde_json::json!({ "field": field, "detail": detail }));
        Err(problem.field("errors", Value::Array(all.collect())))
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        debug_assert!(
            self.declared.iter().any(|member| member.name == name),
            "{name} is asked for and not declared"
        );
        self.asked.push(name);
        self.members.remove(name).filter(|value| !value.is_null())
    }
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

    use super::super::member::Kind;
    use super::*;

    const MEMBERS: &[Member] = &[
        Member::optional("a", Kind::Line, "a text"),
        Member::optional("b", Kind::Line, "a text"),
        Member::optional("c", Kind::Flag, "yes or no"),
        Member::needed("e", Kind::Line, "a text"),
    ];

    async fn read(body: &str) -> Result<Fields, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        Fields::read(&headers, Body::from(body.to_owned()), MEMBERS).await
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
            ("{\"a\": \"x\", \"a\": \"y\"}", 400),
            ("{\"a\": {\"b\": 1, \"b\": 2}}", 400),
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
            let read = Fields::read(&headers, Body::from("{}"), MEMBERS).await;
            assert_eq!(status(read), 415, "{kind}");
        }
        assert_eq!(
            status(Fields::read(&HeaderMap::new(), Body::from("{}"), MEMBERS).await),
            415
        );
        assert_eq!(
            status(Fields::read(&HeaderMap::new(), Body::empty(), MEMBERS).await),
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
        assert_eq!(fields.flag("c"), None);
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
    fn a_query_names_each_thing_once() {
        for (query, expected) in [
            (None, 200),
            (Some(""), 200),
            (Some("a=1&b=x%20y"), 200),
            (Some("a=1&a=1"), 400),
            (Some("a=%f"), 400),
            (Some("f=1"), 400),
        ] {
            let read = Fields::of_query(query, MEMBERS).and_then(|mut fields| {
                for member in ["a", "b", "e"] {
                    fields.text(member, 9);
                }
                fields.flag("c");
                fields.finish()
            });
            assert_eq!(status(read), expected, "{query:?}");
        }
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
