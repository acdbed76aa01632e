//! Six-digit codes from an app (RFC 6238): SHA-1, 30 seconds, one step of tolerance, as every app has
//! them.
//!
//! [`step_of`] says which step a code belongs to; that each step counts once is the store's part.

use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::{Builder, Totp};

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

/// The step of a code that is valid at `wall`, one step earlier or one later. Blanks are skipped.
///
/// # Errors
/// [`TotpError::Secret`]
pub fn step_of(
    secret: &Secret<Vec<u8>>,
    code: &str,
    wall: Timestamp,
) -> Result<Option<i64>, TotpError> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let step = app(secret, "portcullis")?.check(&code, wall.unix_seconds());
    Ok(step.and_then(|step| i64::try_from(step).ok()))
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
        assert_eq!(step(" 287 082 ", 59), Some(1));
        for code in [
            "", "28708", "2870820", "+28708", "28708a", "２87082", "287082\0",
        ] {
            assert_eq!(step(code, 59), None, "{code:?}");
        }
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
