//! Passwords on the command line: never as arguments, which every user of the machine can see.

use std::io::{self, IsTerminal, Read};

use anyhow::Context;
use zeroize::Zeroizing;

use super::failure::{Done, Failure};
use crate::secret::Secret;

/// Reads a password from the standard input, without the line break at its end.
pub(super) fn from_stdin() -> Done<Secret<String>> {
    read(io::stdin().lock())
}

/// Asks for a password twice, where somebody is there to be asked.
/// One of less than `least` characters is refused before it has to be typed again.
pub(super) fn prompted(name: &str, least: usize) -> Done<Secret<String>> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "where is the new password? Give --password-stdin and pipe it in, or --generate for a \
             new one; it is asked for only at a terminal",
        ));
    }
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map(Secret::new)
            .context("can't read the password from the terminal")
    };
    let first = ask(format!("New password of {name}: "))?;
    if first.expose().chars().count() < least {
        return Err(Failure::refused(format!(
            "this is too short: a password here has at least {least} characters; nothing was changed"
        )));
    }
    let again = ask("The same again: ".to_owned())?;
    if first.expose() != again.expose() {
        return Err(Failure::refused(
            "the two passwords differ; nothing was changed",
        ));
    }
    Ok(first)
}

fn read(source: impl Read) -> Done<Secret<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
    source
        .take(MOST_BYTES as u64)
        .read_to_end(&mut bytes)
        .context("can't read the password from the standard input")?;
    if bytes.len() == MOST_BYTES {
        return Err(Failure::refused(
            "the password on the standard input is too long; nothing was changed",
        ));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::refused("the password on the standard input is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::refused(
            "there is no password on the standard input; pipe one in",
        ));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Longer ones are refused by the gateway as well; this only bounds what is read.
const MOST_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Option<String> {
        read(text.as_bytes())
            .ok()
            .map(|password| password.expose().clone())
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_a_password() {
        for (text, password) in [
            ("secret words", Some("secret words")),
            ("secret words\n", Some("secret words")),
            ("secret words\r\n", Some("secret words")),
            (" secret \n\n", Some(" secret \n")),
            ("", None),
            ("\n", None),
        ] {
            assert_eq!(read_text(text).as_deref(), password, "{text:?}");
        }
        assert_eq!(read_text(&"x".repeat(MOST_BYTES)), None);
    }
}
