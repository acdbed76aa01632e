//! Faults: where in the file, what is wrong, and what would be right.
//!
//! They are collected, never thrown: the operator sees every one of them at the first try.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::risk::Risk;
use super::schema::Sketch;

/// One thing about the configuration that is wrong, or legal but unsafe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line and column in the file, both from 1, the column in characters; `None` where the file as a
    /// whole is concerned.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub message: String,
    pub file: PathBuf,
    /// The name by which a warning of this kind is silenced.
    pub risk: Option<Risk>,
}

/// Every fault of a configuration, in the order of the file. One line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

/// Collects what is found while a file is read.
pub(super) struct Report<'t> {
    file: &'t Path,
    text: &'t str,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    /// Of these there is no warning.
    accepted: Vec<Risk>,
    /// What was asked for, whether it was there or not.
    pub(super) sketch: Sketch,
}

/// Where something stands in the text, in bytes.
pub(super) type Span = Range<usize>;

impl Faults {
    /// The file can't be read at all.
    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self(vec![Fault {
            place: None,
            message: message.into(),
            file: file.to_owned(),
            risk: None,
        }])
    }

    /// The single faults.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self {
            file,
            text,
            faults: Vec::new(),
            warnings: Vec::new(),
            accepted: Vec::new(),
            sketch: Sketch::new(),
        }
    }

    /// Something is wrong at `span`.
    pub(super) fn fault(&mut self, span: &Span, message: impl Into<String>) {
        let fault = self.at(span, message);
        self.faults.push(fault);
    }

    /// Something at `span` is legal but unsafe.
    pub(super) fn warn(&mut self, span: &Span, message: impl Into<String>) {
        let warning = self.at(span, message);
        self.warnings.push(warning);
    }

    /// Something at `span` is legal and takes a control away.
    pub(super) fn risk(&mut self, risk: Risk, span: &Span, message: impl Into<String>) {
        let warning = Fault {
            risk: Some(risk),
            ..self.at(span, message)
        };
        self.warnings.push(warning);
    }

    /// These risks are taken knowingly.
    pub(super) fn accept(&mut self, risks: Vec<Risk>) {
        self.accepted.extend(risks);
    }

    /// Something is missing from the file as a whole.
    pub(super) fn fault_of_file(&mut self, message: impl Into<String>) {
        self.faults.push(Fault {
            place: None,
            message: message.into(),
            file: self.file.to_owned(),
            risk: None,
        });
    }

    /// The warnings, if there was no fault.
    pub(super) fn finish(mut self) -> Result<Vec<Fault>, Faults> {
        self.faults.sort();
        self.faults.dedup();
        let is_accepted = |risk: &Risk| self.accepted.contains(risk);
        self.warnings
            .retain(|warning| !warning.risk.as_ref().is_some_and(is_accepted));
        self.warnings.sort();
        if self.faults.is_empty() {
            Ok(self.warnings)
        } else {
            Err(Faults(self.faults))
        }
    }

    fn at(&self, span: &Span, message: impl Into<String>) -> Fault {
        Fault {
            place: Some(place(self.text, span.start)),
            message: message.into(),
            file: self.file.to_owned(),
            risk: None,
        }
    }
}

/// Line and column of a byte; a byte inside a character counts as that character.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.char_indices().take_while(|&(at, _)| at < byte);
    before.fold((1, 1), |(line, column), (_, character)| match character {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.place {
            Some((line, column)) => write!(f, "{file}:{line}:{column}: {}", self.message),
            None => write!(f, "{file}: {}", self.message),
        }?;
        match self.risk {
            Some(risk) => write!(f, " (accept_risk = [\"{}\"] accepts it)", risk.as_str()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let text = "a = 1\n# \u{fc}\u{fc}\nb = 2";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, 6), (2, 1));
        assert_eq!(place(text, 10), (2, 4));
        assert_eq!(place(text, 13), (3, 1));
        assert_eq!(place(text, 9999), (3, 6));
    }
}
