//! What commands print: tables and sentences for people, documents for programs.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::failure::{Done, Failure};

/// Prints a line.
pub(super) fn line(text: &str) -> Done {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints what is no text of this program's own. A reader that is gone (`| head`) has what it wanted:
/// the command ends without a word, but not as if everything had been read.
pub(super) fn bytes(content: &[u8]) -> Done {
    let mut out = io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(fault) if fault.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(fault) => Err(fault).context("can't print")?,
    }
}

/// Tells a person something that is not the data of the command: where it goes to another place than
/// the data, nothing gets mixed up.
pub(super) fn aside(text: &str) {
    // Who closed the standard error does not want to know.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a document for programs.
pub(super) fn document(value: &Value) -> Done {
    line(&format!("{value:#}"))
}

/// Prints rows under their headings, each column as wide as its widest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> Done {
    line(&laid_out(headings, rows))
}

/// Prints what is known about one thing, a line for each.
pub(super) fn facts(facts: &[(&str, String)]) -> Done {
    let rows: Vec<Vec<String>> = facts
        .iter()
        .map(|(name, fact)| vec![format!("{name}:"), fact.clone()])
        .collect();
    line(&aligned(&rows))
}

/// `"1 session"`, `"2 sessions"`.
pub(super) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// A text of a document; `-` where there is none.
pub(super) fn text(document: &Value, field: &str) -> String {
    let text = document.get(field).and_then(Value::as_str);
    text.unwrap_or("-").to_owned()
}

/// A number of a document.
pub(super) fn number(document: &Value, field: &str) -> u64 {
    document.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// A list of words of a document; `-` where it is empty.
pub(super) fn words(document: &Value, field: &str) -> String {
    let words = document.get(field).and_then(Value::as_array);
    let words: Vec<&str> = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// The entries of a document that is a list.
pub(super) fn entries(document: &Value) -> &[Value] {
    document.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text that does nothing to the terminal: what browsers call themselves, and what programs give as
/// reasons, comes from strangers. Control characters, and those that turn the direction of writing,
/// are shown as what they are.
pub(super) fn tame(text: &str) -> Cow<'_, str> {
    if !text.contains(is_wild) {
        return text.into();
    }
    let mut tamed = String::new();
    for c in text.chars() {
        if is_wild(c) {
            tamed.extend(c.escape_unicode());
        } else {
            tamed.push(c);
        }
    }
    tamed.into()
}

fn is_wild(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

pub(super) fn laid_out(headings: &[&str], rows: &[Vec<String>]) -> String {
    let head = headings.iter().map(|heading| (*heading).to_owned());
    let lines: Vec<Vec<String>> = std::iter::once(head.collect())
        .chain(rows.iter().cloned())
        .collect();
    aligned(&lines)
}

fn aligned(lines: &[Vec<String>]) -> String {
    let lines: Vec<Vec<Cow<'_, str>>> = lines
        .iter()
        .map(|row| row.iter().map(|cell| tame(cell)).collect())
        .collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let printed = lines.iter().map(|row| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())))
            .collect();
        padded.join("  ").trim_end().to_owned()
    });
    printed.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let rows = [
            vec!["ada".to_owned(), "administrator".to_owned(), String::new()],
            vec!["b\u{fc}".to_owned(), "manager".to_owned(), "x".to_owned()],
            vec!["\u{6f22}".to_owned(), "e\u{301}".to_owned(), "y".to_owned()],
        ];
        assert_eq!(
            laid_out(&["NAME", "ROLE", "STATE"], &rows),
            "NAME  ROLE           STATE\n\
             ada   administrator\n\
             b\u{fc}    manager        x\n\
             \u{6f22}    e\u{301}              y"
        );
    }

    #[test]
    fn what_strangers_wrote_does_nothing_to_the_terminal() {
        let wild = "\u{1b}[2Jx\n\u{9b}\u{202e}";
        assert_eq!(tame(wild), r"\u{1b}[2Jx\u{a}\u{9b}\u{202e}");
        let laid_out = laid_out(&["A"], &[vec![wild.to_owned()]]);
        assert_eq!(laid_out.lines().count(), 2, "{laid_out}");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0, "session"), "0 sessions");
        assert_eq!(count(1, "session"), "1 session");
    }
}
