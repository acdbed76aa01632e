//! What commands print: tables and sentences for people, documents for programs.

use std::io::{self, Write};

use anyhow::Context;
use serde_json::Value;

use super::failure::Done;

/// Prints a line. A reader that is gone (`| head`) is a failure, not a panic.
pub(super) fn line(text: &str) -> Done {
    writeln!(io::stdout().lock(), "{text}").context("can't print")?;
    Ok(())
}

/// Prints a document for programs.
pub(super) fn document(value: &Value) -> Done {
    line(&format!("{value:#}"))
}

/// Prints rows under their headings, each column as wide as its widest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> Done {
    line(&laid_out(headings, rows))
}

/// `"1 session"`, `"2 sessions"`.
pub(super) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

fn laid_out(headings: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = headings
        .iter()
        .map(|heading| (*heading).to_owned())
        .collect();
    let lines = std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let cells = lines.clone().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let printed = lines.clone().map(|row| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
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
        ];
        assert_eq!(
            laid_out(&["NAME", "ROLE", "STATE"], &rows),
            "NAME  ROLE           STATE\n\
             ada   administrator\n\
             b\u{fc}    manager        x"
        );
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0, "session"), "0 sessions");
        assert_eq!(count(1, "session"), "1 session");
    }
}
