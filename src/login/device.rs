//! A browser in which a user has signed in before, as its cookie says.
//!
//! The cookie is a hint for the throttle and nothing else: it holds no session, opens no page and takes the
//! place of neither password nor second factor. A browser that sends it has a small allowance of guesses apart
//! from those of strangers. It says nothing of whom it is of: the seal fits one user, at one generation,
//! on one host, until it ends. So everything that ends the sessions of a user ends it, too, and it is the
//! same for every node and after a restart, without being kept anywhere.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::model::{DeviceId, User};
use crate::secret::Secret;

/// How long a browser is known after a sign-in.
pub const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Knows devices again.
#[derive(Debug)]
pub struct Devices(hmac::Key);

/// What a browser shows of itself.
#[derive(Debug, Clone, Default)]
pub struct ShownDevice {
    /// The value of its cookie.
    pub cookie: Option<Secret<String>>,
    /// The host on which it is shown, in lower case and without a port.
    pub host: String,
}

/// Number, end in milliseconds, seal.
const LENGTH: usize = 16 + 8 + 32;

impl Devices {
    /// `key` is the same on every node.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// The cookie of a browser in which `user` has signed in on `host` now.
    pub fn cookie(&self, user: &User, host: &str, now: Timestamp) -> Secret<String> {
        let (device, ends) = (DeviceId::random(), now.plus(LIFETIME));
        let seal = hmac::sign(&self.0, &message(user, host, device, ends));
        let ends = ends.millis().to_be_bytes();
        let value = [device.0.as_slice(), &ends, seal.as_ref()].concat();
        Secret::new(URL_SAFE_NO_PAD.encode(value))
    }

    /// The device, if this user has signed in there, at this generation.
    pub fn recognise(&self, shown: &ShownDevice, user: &User, now: Timestamp) -> Option<DeviceId> {
        let cookie = shown.cookie.as_ref()?.expose();
        let value = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let value: [u8; LENGTH] = value.try_into().ok()?;
        let (device, rest) = value.split_first_chunk()?;
        let (ends, seal) = rest.split_first_chunk()?;
        let (device, ends) = (
            DeviceId(*device),
            Timestamp::from_millis(i64::from_be_bytes(*ends)),
        );
        // A clock that was set back makes no cookie live longer than it may.
        let is_over = ends <= now || now.plus(LIFETIME) < ends;
        let fits = hmac::verify(&self.0, &message(user, &shown.host, device, ends), seal).is_ok();
        (fits && !is_over).then_some(device)
    }
}

/// Everything but the host has a fixed length, so that what is what is clear.
fn message(user: &User, host: &str, device: DeviceId, ends: Timestamp) -> Vec<u8> {
    [
        user.id.0.to_be_bytes().as_slice(),
        &user.generation.number().to_be_bytes(),
        &device.0,
        &ends.millis().to_be_bytes(),
        host.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generation, Role, UserId, UserName};

    fn user(id: i64, generation: i64) -> User {
        User {
            id: UserId(id),
            name: UserName::parse("ada").unwrap(),
            role: Role::Operator,
            email: None,
            disabled: false,
            generation: Generation::from_stored(generation),
        }
    }

    #[test]
    fn a_device_is_known_by_its_user_host_generation_and_time_alone() {
        let devices = Devices::new(&Secret::new([7; 32]));
        let (ada, start) = (user(1, 4), Timestamp::from_millis(1_700_000_000_000));
        let cookie = devices.cookie(&ada, "gate.example", start);
        let is_known = |devices: &Devices, cookie: &str, host: &str, user: &User, at| {
            let shown = ShownDevice {
                cookie: Some(Secret::new(cookie.to_owned())),
                host: host.to_owned(),
            };
            devices.recognise(&shown, user, at).is_some()
        };
        let value = cookie.expose().as_str();
        let last = start.plus(LIFETIME - Duration::from_millis(1));
        for at in [start, last] {
            assert!(is_known(&devices, value, "gate.example", &ada, at));
        }
        let before = start.minus(Duration::from_secs(1));
        for at in [start.plus(LIFETIME), before] {
            assert!(!is_known(&devices, value, "gate.example", &ada, at));
        }
        for other in [user(2, 4), user(1, 5), user(1, 3)] {
            assert!(!is_known(&devices, value, "gate.example", &other, start));
        }
        for host in ["", "gate.example.org", "xgate.example", "wiki.example"] {
            assert!(!is_known(&devices, value, host, &ada, start), "{host}");
        }
        let other_key = Devices::new(&Secret::new([8; 32]));
        assert!(!is_known(&other_key, value, "gate.example", &ada, start));
    }

    #[test]
    fn no_part_of_a_cookie_can_be_changed() {
        let devices = Devices::new(&Secret::new([7; 32]));
        let (ada, start) = (user(1, 4), Timestamp::from_millis(1_700_000_000_000));
        let cookie = devices.cookie(&ada, "h", start);
        let bytes = URL_SAFE_NO_PAD.decode(cookie.expose()).unwrap();
        let shown = |bytes: &[u8]| ShownDevice {
            cookie: Some(Secret::new(URL_SAFE_NO_PAD.encode(bytes))),
            host: "h".to_owned(),
        };
        assert!(devices.recognise(&shown(&bytes), &ada, start).is_some());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let known = devices.recognise(&shown(&changed), &ada, start);
            assert!(known.is_none(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(
                devices
                    .recognise(&shown(&bytes[..length]), &ada, start)
                    .is_none()
            );
        }
        let longer = [bytes, vec![0]].concat();
        assert!(devices.recognise(&shown(&longer), &ada, start).is_none());
    }
}
