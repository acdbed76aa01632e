//! Problem documents (RFC 9457): how a program is told what was wrong.
//!
//! A [`Problem`] is also the material of the error pages that people see.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::{Body, RequestId, Response};

/// What was wrong, for whom it may concern.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    rest: Box<Rest>,
}

/// Boxed, so that a result that may be a problem stays small on the way of a request that is none.
#[derive(Debug, Clone, Default)]
struct Rest {
    reference: Option<String>,
    fields: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem in a few words.
    pub fn new(status: StatusCode, title: &'static str) -> Self {
        Self {
            status,
            title,
            detail: String::new(),
            rest: Box::default(),
        }
    }

    /// Adds the sentence that helps.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds a member of the document (RFC 9457 §3.2).
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.rest.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header field of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.rest.headers.append(name, value);
        self
    }

    /// Gives it the number of the request as a reference, to be written to the log with the cause.
    #[must_use]
    pub fn referenced(mut self) -> Self {
        self.rest.reference = Some(RequestId::current().to_string());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The few words.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// The few words as one, for the log: `not-allowed`.
    pub fn cause(&self) -> String {
        self.title.replace(' ', "-")
    }

    /// The sentence that helps; may be empty.
    pub fn detail_text(&self) -> &str {
        &self.detail
    }

    /// The number under which the cause is in the log, where there is one.
    pub fn reference(&self) -> Option<&str> {
        self.rest.reference.as_deref()
    }

    /// A member of the document that is a text.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.rest.fields.get(name)?.as_str()
    }

    /// The header fields that belong to the answer, whatever its form.
    pub fn headers(&self) -> &HeaderMap {
        &self.rest.headers
    }

    /// The answer to a program.
    pub fn into_response(self) -> Response {
        let Rest {
            reference,
            fields: mut document,
            headers,
        } = *self.rest;
        document.insert("title".into(), self.title.into());
        document.insert("status".into(), self.status.as_u16().into());
        if !self.detail.is_empty() {
            document.insert("detail".into(), self.detail.into());
        }
        if let Some(reference) = reference {
            document.insert("reference".into(), reference.into());
        }
        let mut response = Response::new(Body::from(Value::Object(document).to_string()));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, DOCUMENT);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> Response {
        Self::into_response(self)
    }
}

const DOCUMENT: HeaderValue = HeaderValue::from_static("application/problem+json");

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_problem_is_a_document_with_its_fields() {
        let problem = Problem::new(StatusCode::CONFLICT, "name taken")
            .detail("there is a user ada already")
            .field("field", "name");
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["status"], 409);
        assert_eq!(document["field"], "name");
        assert_eq!(document["detail"], "there is a user ada already");
    }

    #[test]
    fn a_reference_has_eight_symbols() {
        let problem = Problem::new(StatusCode::BAD_GATEWAY, "no answer").referenced();
        assert_eq!(problem.reference().map(str::len), Some(8));
    }
}
