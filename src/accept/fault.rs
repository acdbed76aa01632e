//! What is wrong with a request head or body, in sentences for the one who sent it.

use http::StatusCode;

/// Why a request head was refused before it became a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// Larger than [`super::HEAD_LIMIT`].
    #[error("the request line and header fields are larger than 64 KiB")]
    TooLarge,
    /// More than [`super::FIELD_LIMIT`].
    #[error("the request has more than 100 header fields")]
    TooManyFields,
    /// Begun and not completed in time.
    #[error("the request head was not complete in time")]
    TooSlow,
    /// The input ended within the head.
    #[error("the connection ended in the middle of the request head")]
    Incomplete,
    /// More than one empty line before the request line (RFC 9112 §2.2 allows to skip one).
    #[error("there is more than one empty line before the request line")]
    EmptyLines,
    /// A line that ends in LF alone.
    #[error("a line of the request head ends in LF without CR")]
    BareLineFeed,
    /// A CR that ends no line.
    #[error("the request head has a CR that is not followed by LF")]
    BareCarriageReturn,
    /// Not `method SP target SP version`.
    #[error(
        "the request line must be a method, a target and HTTP/1.1, with one space between them"
    )]
    RequestLine,
    /// HTTP of another time.
    #[error("this listener speaks HTTP/1.1 and, where TLS agreed on it, HTTP/2")]
    Version,
    /// `CONNECT` in HTTP/1.1: the gateway is no forward proxy.
    #[error("CONNECT is not served: this is not a forward proxy")]
    Connect,
    /// `#` in the target.
    #[error("the request target has a `#`; a fragment is never sent")]
    Fragment,
    /// Neither a path, nor an http URL, nor `OPTIONS *`.
    #[error("the request target must be a path that begins with `/`")]
    TargetForm,
    /// A character that belongs into no target.
    #[error("the request target has a character that must be percent-encoded")]
    TargetCharacter,
    /// `user@` in an absolute target.
    #[error("the request target must not carry a user name")]
    UserInfo,
    /// Not `name: value`.
    #[error("a header field must be a name, a colon without a blank before it, and a value")]
    FieldSyntax,
    /// A field continued on a second line (RFC 9112 §5.2).
    #[error("a header field is continued on a second line")]
    Folded,
    /// A control character in a field.
    #[error("a header field has a control character in its value")]
    FieldCharacter,
    /// HTTP/1.1 without `Host` (RFC 9112 §3.2).
    #[error("the Host field is missing")]
    HostMissing,
    /// Two `Host` fields.
    #[error("there is more than one Host field")]
    HostRepeated,
    /// Both ways to say where the body ends (RFC 9112 §6.1).
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    LengthAndEncoding,
    /// Two `Content-Length` fields, even equal ones.
    #[error("there is more than one Content-Length")]
    LengthRepeated,
    /// No number, or one beyond measure.
    #[error("Content-Length must be one decimal number")]
    LengthInvalid,
    /// Anything but `chunked`, or not in HTTP/1.1.
    #[error("the only Transfer-Encoding is a single `chunked`, in HTTP/1.1")]
    Encoding,
    /// Plain HTTP on the port that speaks HTTPS.
    #[error("this port speaks HTTPS: use an address that begins with https://")]
    NotTls,
    /// TLS on a port that speaks plain HTTP.
    #[error("this port speaks plain HTTP, and TLS was spoken to it")]
    Tls,
}

impl HeadFault {
    /// In a word, for the log and the metrics.
    pub fn cause(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::TooManyFields => "too-many-fields",
            Self::TooSlow => "too-slow",
            Self::Incomplete => "incomplete",
            Self::EmptyLines => "empty-lines",
            Self::BareLineFeed => "bare-line-feed",
            Self::BareCarriageReturn => "bare-carriage-return",
            Self::RequestLine => "request-line",
            Self::Version => "version",
            Self::Connect => "connect",
            Self::Fragment => "fragment",
            Self::TargetForm => "target-form",
            Self::TargetCharacter => "target-character",
            Self::UserInfo => "user-info",
            Self::FieldSyntax => "field-syntax",
            Self::Folded => "folded",
            Self::FieldCharacter => "field-character",
            Self::HostMissing => "host-missing",
            Self::HostRepeated => "two-hosts",
            Self::LengthAndEncoding => "two-framings",
            Self::LengthRepeated => "two-lengths",
            Self::LengthInvalid => "length-invalid",
            Self::Encoding => "encoding",
            Self::NotTls => "plain-http",
            Self::Tls => "tls",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
