//! Six-digit codes from an app (RFC 6238): SHA-1, 30 seconds, one step of tolerance, as every app has
//! them.
//!
//! [`step_of`] says which step a code belongs to; that each step counts once is the store's part.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::{Builder, Totp};

use super::typed::folded;
use crate::clock::Timestamp;
use crate::secret::{Secret, random_bytes};

/// Why an app can't be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    #[error("the secret does not make a code: {0}")]
    Secret(String),
    #[error("the secret does not fit into a QR code: {0}")]
    Qr(String),
}

/// What a person needs to enrol an app.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base32, in groups of four, to be typed.
    pub text: Secret<String>,
    /// The same as a picture to be scanned: an `<svg>` element.
    pub qr_svg: Secret<String>,
}

/// A fresh secret: 160 bits (RFC 4226 §4, R6).
pub fn new_secret() -> Secret<Vec<u8>> {
    Secret::new(random_bytes::<20>().to_vec())
}

/// The step of a code that is valid at `wall`, one step earlier or one later. It is read as people type it
/// ([`folded`]).
///
/// # Errors
/// [`TotpError::Secret`]
pub fn step_of(
    secret: &Secret<Vec<u8>>,
    code: &str,
    wall: Timestamp,
) -> Result<Option<i64>, TotpError> {
    let Some(code) = digits(code) else {
        return Ok(None);
    };
    let step = app(secret, "portcullis")?.check(&code, wall.unix_seconds());
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

/// A code that belongs to another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apart {
    /// The step that it belongs to.
    pub step: i64,
    /// How many seconds that is ahead of the clock; less than nothing for a code that is over.
    pub seconds: i64,
}

/// The step that a code belongs to beyond those that [`step_of`] takes: up to ten minutes before and after
/// them, the nearest. Such a code is never good for anything; it tells that a clock is wrong.
///
/// What it tells somebody who guesses: of a code that is over, nothing of use, as codes of other steps don't
/// follow from it (RFC 4226 §6). A code that is to come could be kept until it is right, which would make one
/// guess worth eight. So the caller has to make sure that its step is never taken before the answer is given.
///
/// # Errors
/// [`TotpError::Secret`]
pub fn apart(
    secret: &Secret<Vec<u8>>,
    code: &str,
    wall: Timestamp,
) -> Result<Option<Apart>, TotpError> {
    let Some(code) = digits(code) else {
        return Ok(None);
    };
    let app = app(secret, "portcullis")?;
    let now = i64::try_from(wall.unix_seconds() / STEP).unwrap_or(i64::MAX);
    let around = (2..=2 + TOLD).flat_map(|steps| [-steps, steps]);
    let is_it = |steps: i64| {
        let step = now.checked_add(steps).filter(|step| *step >= 0)?;
        let seconds = u64::try_from(step).ok()?.checked_mul(STEP)?;
        let made = app.generate(seconds).to_string();
        let same = verify_slices_are_equal(made.as_bytes(), code.as_bytes()).is_ok();
        same.then_some(Apart {
            step,
            seconds: steps.saturating_mul(STEP.cast_signed()),
        })
    };
    // All are looked at, so that the time it takes tells nothing more than the answer.
    Ok(around
        .filter_map(is_it)
        .fold(None, |nearest, found| nearest.or(Some(found))))
}

/// Seconds of one step (RFC 6238 §4.1).
const STEP: u64 = 30;

/// How many steps beyond the accepted ones a code is recognised as one of another time.
const TOLD: i64 = 19;

/// Six ASCII digits, however they were typed.
fn digits(code: &str) -> Option<String> {
    let code = folded(code);
    (code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

/// The secret in the forms that apps take, for an account `user@host`.
///
/// # Errors
/// [`TotpError`]
pub fn enrolment(secret: &Secret<Vec<u8>>, user: &str, host: &str) -> Result<Enrolment, TotpError> {
    // A colon separates the parts of the label.
    let account = format!("{user}@{}", host.replace(':', "."));
    let url = app(secret, &account)?
        .to_url()
        .map(Secret::new)
        .map_err(|fault| TotpError::Secret(fault.to_string()))?;
    let code = QrCode::new(url.expose()).map_err(|fault| TotpError::Qr(fault.to_string()))?;
    // White behind and around it, also on a dark page: some scanners want it so.
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(220, 220)
        .dark_color(svg::Color("#000000"))
        .light_color(svg::Color("#ffffff"))
        .build();
    let element = picture
        .find("<svg")
        .map_or("", |at| picture.get(at..).unwrap_or_default());
    let base32 = Secret::new(totp_rs::Secret::from(secret.expose().clone()).to_base32());
    Ok(Enrolment {
        text: Secret::new(in_groups(base32.expose())),
        qr_svg: Secret::new(element.to_owned()),
    })
}

fn app(secret: &Secret<Vec<u8>>, account: &str) -> Result<Totp, TotpError> {
    Builder::new()
        .with_secret(totp_rs::Secret::from(secret.expose().clone()))
        .with_skew(1)
        .with_issuer(Some("Portcullis"))
        .with_account_name(account)
        .build()
        .map_err(|fault| TotpError::Secret(fault.to_string()))
}

fn in_groups(text: &str) -> String {
    let mut grouped = String::with_capacity(text.len() * 5 / 4);
    for (at, symbol) in text.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push(' ');
        }
        grouped.push(symbol);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc_secret() -> Secret<Vec<u8>> {
        Secret::new(b"12345678901234567890".to_vec())
    }

    fn step(code: &str, seconds: i64) -> Option<i64> {
        step_of(&rfc_secret(), code, Timestamp::from_millis(seconds * 1000)).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, SHA-1: the last six of its eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step(code, seconds), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_valid_one_step_around_its_own() {
        // 081804 is the code of step 37037036, which begins at 1111111080.
        let step_begins = 1_111_111_080;
        for (seconds, valid) in [
            (step_begins - 31, false),
            (step_begins - 30, true),
            (step_begins, true),
            (step_begins + 59, true),
            (step_begins + 60, false),
        ] {
            assert_eq!(step("081804", seconds).is_some(), valid, "{seconds}");
        }
    }

    #[test]
    fn only_six_digits_are_a_code() {
        for typed in [" 287 082 ", "287\u{2013}082", "２８７０８２\u{200b}"] {
            assert_eq!(step(typed, 59), Some(1), "{typed:?}");
        }
        for code in ["", "28708", "2870820", "+28708", "28708a", "287082\0"] {
            assert_eq!(step(code, 59), None, "{code:?}");
        }
    }

    #[test]
    fn a_code_of_another_time_is_told_within_ten_minutes_and_never_taken() {
        // 081804 is the code of step 37037036, which begins at 1111111080.
        let step_begins = 1_111_111_080;
        for (seconds, apart_by) in [
            (0, None),
            (-30, None),
            (59, None),
            (-31, Some(60)),
            (60, Some(-60)),
            (-300, Some(300)),
            (630, Some(-630)),
            (-630, Some(630)),
            (660, None),
            (-631, None),
        ] {
            let now = step_begins + seconds;
            let wall = Timestamp::from_millis(now * 1000);
            let found = apart(&rfc_secret(), "081\u{2013}804", wall).unwrap();
            assert_eq!(found.map(|found| found.seconds), apart_by, "{seconds}");
            if let Some(found) = found {
                assert_eq!(found.step, step_begins / 30);
                assert_eq!(step("081804", now), None);
            }
        }
        assert_eq!(
            apart(&rfc_secret(), "08180", Timestamp::from_millis(0)).unwrap(),
            None
        );
    }

    #[test]
    fn an_app_can_be_enrolled_by_picture_and_by_text() {
        let enrolment = enrolment(&rfc_secret(), "ada", "panel.example").unwrap();
        assert_eq!(
            enrolment.text.expose(),
            "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
        );
        assert!(enrolment.qr_svg.expose().starts_with("<svg"));
    }
}
