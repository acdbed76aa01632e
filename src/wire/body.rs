//! Small bodies that are read whole: forms and calls, within a size and a time.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::{Body, Problem};

/// How long a form or a call may take to arrive, in all: one byte at a time would hold a task, and the
/// drain, for as long as somebody likes.
const PATIENCE: Duration = Duration::from_secs(15);

/// The gateway holds too much of what is not whole, and this was waited for longest.
#[derive(Debug, thiserror::Error)]
#[error("too much that is not whole was held, and this was waited for longest")]
pub struct Crowded;

/// The whole body of a request.
///
/// # Errors
/// 413 above `most` bytes, 408 for one that does not arrive in fifteen seconds, 400 for one that
/// breaks off, 503 for one that there was no room for any longer.
pub async fn whole(body: Body, most: usize) -> Result<Bytes, Problem> {
    match timeout(PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too large")
                .detail(format!("a body has at most {} KiB here", most / 1024)))
        }
        Ok(Err(fault)) if is_crowded(&*fault) => Err(crowded()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "broken off")
            .detail("the body ended before it was complete")),
        Err(_) => Err(
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too slow").detail(format!(
                "the body did not arrive within {} seconds",
                PATIENCE.as_secs()
            )),
        ),
    }
}

fn is_crowded(fault: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(fault);
    while let Some(fault) = cause {
        if fault.is::<Crowded>() {
            return true;
        }
        cause = fault.source();
    }
    false
}

fn crowded() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many at once")
        .detail(
            "so much that is not whole is being sent from your network, or from all together, that what \
             had been waited for longest was let go, and this was; nothing was done, so send it again",
        )
        .header(RETRY_AFTER, 1.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_has_a_size() {
        assert_eq!(whole(Body::from("abc"), 3).await.unwrap(), "abc");
        let status = |read: Result<Bytes, Problem>| read.unwrap_err().status().as_u16();
        assert_eq!(status(whole(Body::from("abcd"), 3).await), 413);
    }
}
