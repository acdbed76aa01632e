//! The authenticator app on somebody's phone.

use std::time::{SystemTime, UNIX_EPOCH};

use totp_rs::{Builder, Secret};

use super::secrets;

/// Seconds for which a code is shown.
const STEP: u64 = 30;

/// Holds one secret, and remembers which codes were used.
#[derive(Clone, Default)]
pub struct App {
    /// In base32, as the enrolment page shows it.
    secret: String,
    /// The last step whose code was used.
    used: u64,
}

impl App {
    /// Takes in what the enrolment page shows as text.
    pub fn with(shown: &str) -> Self {
        let secret = shown.replace(' ', "");
        secrets::keep(&secret);
        Self { secret, used: 0 }
    }

    /// The code of an app whose clock is this number of minutes slow.
    pub fn late_code(&self, minutes: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let code = self.code_at(now.as_secs() - minutes * 60);
        secrets::keep(&code);
        code
    }

    fn code_at(&self, seconds: u64) -> String {
        let totp = Builder::new()
            .with_secret(Secret::try_from_base32(&self.secret).unwrap())
            .with_account_name("test")
            .build()
            .unwrap();
        totp.generate(seconds).to_string()
    }

    /// A code that was not used yet: of this half minute, or of the next, which is taken too.
    pub fn next_code(&mut self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let step = (now / STEP).max(self.used + 1);
        assert!(
            step <= now / STEP + 1,
            "the codes of this half minute are used up"
        );
        self.used = step;
        let code = self.code_at(step * STEP);
        secrets::keep(&code);
        code
    }
}
