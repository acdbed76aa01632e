//! The configuration as written: TOML tables with the place of every key and value.
//!
//! A section is asked for its keys one by one and knows in the end which ones nobody asked for. A
//! derived `Deserialize` would stop at the first unknown key or wrong type; this goes on and collects.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Report, Span};
use super::schema::Asked;

/// One table of the file, absent ones included.
pub(super) struct Section<'a> {
    title: String,
    /// The names on the way to it.
    path: Vec<&'static str>,
    span: Span,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
}

/// A text value with its place.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    /// The table that holds all others.
    pub(super) fn whole(file: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            title: "the top of the file".to_owned(),
            path: Vec::new(),
            span: file.span(),
            table: Some(file.get_ref()),
            known: Vec::new(),
        }
    }

    /// Where the section stands.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The value of a key, of whatever type; `asked` is what it should be.
    pub(super) fn value(
        &mut self,
        key: &'static str,
        asked: Asked,
        report: &mut Report<'_>,
    ) -> Option<&'a Value<'a>> {
        self.known.push(key);
        report.sketch.insert(self.path_of(key), asked);
        self.entry(key)
    }

    fn path_of(&self, key: &'static str) -> Vec<&'static str> {
        self.path.iter().copied().chain([key]).collect()
    }

    /// The place of a key's value, or of the section where the key is absent.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.entry(key)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Text<'a>> {
        self.text_as(key, Asked::Text, report)
    }

    /// A text without a default.
    pub(super) fn needed_text(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Text<'a>> {
        self.text_as(key, Asked::NeededText, report)
    }

    fn text_as(
        &mut self,
        key: &'static str,
        asked: Asked,
        report: &mut Report<'_>,
    ) -> Option<Text<'a>> {
        let value = self.value(key, asked, report)?;
        as_text(value).or_else(|| {
            wrong_type(key, "a text in quotes", value, report);
            None
        })
    }

    /// A text that `parse` turns into what is meant; `default` where it is absent or wrong.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        default: T,
        report: &mut Report<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.text(key, report) {
            None => default,
            Some(text) => parse(text.text).unwrap_or_else(|why| {
                report.fault(&text.span, format!("{key}: {why}"));
                default
            }),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(
        &mut self,
        key: &'static str,
        default: bool,
        report: &mut Report<'_>,
    ) -> bool {
        let value = self.value(key, Asked::Flag, report);
        match value.map(|value| (value, value.get_ref())) {
            None => default,
            Some((_, DeValue::Boolean(flag))) => *flag,
            Some((value, _)) => {
                wrong_type(key, "true or false", value, report);
                default
            }
        }
    }

    /// A whole number between two bounds.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: usize,
        range: &RangeInclusive<usize>,
        report: &mut Report<'_>,
    ) -> usize {
        let asked = Asked::Number(*range.start(), *range.end());
        let Some(value) = self.value(key, asked, report) else {
            return default;
        };
        let DeValue::Integer(number) = value.get_ref() else {
            wrong_type(key, "a whole number", value, report);
            return default;
        };
        let number = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
        match usize::try_from(number) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                report.fault(
                    &value.span(),
                    format!("{key}: a number from {least} to {most} is possible here"),
                );
                default
            }
        }
    }

    /// A list of texts, each of which `parse` turns into what is meant. `None` where the key is absent.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
        parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.value(key, Asked::Texts, report)?;
        list_of(key, value, report, parse)
    }

    /// Whether a key's value is `[]`.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.entry(key).is_some_and(
            |value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()),
        )
    }

    /// A table inside this one.
    pub(super) fn section(&mut self, key: &'static str, report: &mut Report<'_>) -> Section<'a> {
        let title = format!("[{key}]");
        let path = self.path_of(key);
        let Some(value) = self.value(key, Asked::Section, report) else {
            return Section {
                title,
                path,
                span: self.span.clone(),
                table: None,
                known: Vec::new(),
            };
        };
        let table = as_table(value);
        if table.is_none() {
            report.fault(
                &value.span(),
                format!(
                    "{key} is a section and written {title}, not {}",
                    kind(value)
                ),
            );
        }
        Section {
            title,
            path,
            span: value.span(),
            table,
            known: Vec::new(),
        }
    }

    /// The tables of a list that is written `[[key]]`.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        path: &str,
        report: &mut Report<'_>,
    ) -> Vec<Section<'a>> {
        let names = self.path_of(key);
        let Some(value) = self.value(key, Asked::Sections, report) else {
            return Vec::new();
        };
        let wrong = |value: &Value<'a>, report: &mut Report<'_>| {
            report.fault(
                &value.span(),
                format!("{key} is a list of sections, each begun with [[{path}]] in two brackets"),
            );
        };
        let DeValue::Array(items) = value.get_ref() else {
            wrong(value, report);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            match as_table(item) {
                Some(table) => sections.push(Section {
                    title: format!("[[{path}]]"),
                    path: names.clone(),
                    span: item.span(),
                    table: Some(table),
                    known: Vec::new(),
                }),
                None => wrong(item, report),
            }
        }
        sections
    }

    /// A key of the contract whose part of the gateway does not exist yet.
    pub(super) fn not_built(&mut self, key: &'static str, instead: &str, report: &mut Report<'_>) {
        self.known.push(key);
        let table = self.table.into_iter().flat_map(DeTable::iter);
        for (name, _) in table.filter(|(name, _)| name.get_ref() == key) {
            report.fault(
                &name.span(),
                format!("{key} is not built yet, and nothing would obey it: {instead}"),
            );
        }
    }

    /// The text of a key as it stands in the file.
    pub(super) fn as_written(&self, key: &str) -> Option<&'a str> {
        self.entry(key).and_then(as_text).map(|text| text.text)
    }

    /// Whether the key is there, with whatever value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Every key that nobody asked for is a fault.
    pub(super) fn finish(self, report: &mut Report<'_>) {
        let keys = self.table.into_iter().flat_map(DeTable::iter);
        for (name, _) in keys {
            let key: &str = name.get_ref();
            if self.known.contains(&key) {
                continue;
            }
            let hint = match nearest(key, &self.known) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("possible here: {}", self.known.join(", ")),
            };
            report.fault(
                &name.span(),
                format!("unknown key {key:?} in {}; {hint}", self.title),
            );
        }
    }

    fn entry(&self, key: &str) -> Option<&'a Value<'a>> {
        let mut entries = self.table?.iter();
        entries
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }
}

/// The texts of a list, as meant.
pub(super) fn list_of<'a, T>(
    key: &str,
    value: &'a Value<'a>,
    report: &mut Report<'_>,
    mut parse: impl FnMut(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let DeValue::Array(items) = value.get_ref() else {
        wrong_type(key, "a list of texts, like [\"…\"]", value, report);
        return None;
    };
    let mut list = Vec::new();
    for item in items.iter() {
        match as_text(item) {
            None => wrong_type(key, "a text in quotes", item, report),
            Some(text) => match parse(text.text) {
                Ok(meant) => list.push(meant),
                Err(why) => report.fault(&text.span, format!("{key}: {why}")),
            },
        }
    }
    Some(list)
}

/// A value as a text, if it is one.
pub(super) fn as_text<'a>(value: &'a Value<'a>) -> Option<Text<'a>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Text {
            text,
            span: value.span(),
        }),
        _ => None,
    }
}

/// A value has another type than is possible for its key.
pub(super) fn wrong_type(key: &str, wanted: &str, value: &Value<'_>, report: &mut Report<'_>) {
    report.fault(
        &value.span(),
        format!("{key}: this is {}, and has to be {wanted}", kind(value)),
    );
}

fn as_table<'a>(value: &'a Value<'a>) -> Option<&'a DeTable<'a>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn kind(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// The known word that was probably meant: at most a third of its letters are wrong.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate));
    near.filter(|(steps, candidate)| *steps <= candidate.len().div_ceil(3).min(3))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, letter case aside. Words that are far too long are not compared.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > LONGEST_COMPARED {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (line, a) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (cell, b) in row
            .iter_mut()
            .zip(std::iter::once(None).chain(right.chars().map(Some)))
        {
            let Some(b) = b else {
                *cell = line + 1;
                continue;
            };
            let swapped = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            *cell = swapped.min(before + 1).min(diagonal + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

const LONGEST_COMPARED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letters() {
        for (left, right, steps) in [
            ("", "abc", 3),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("Listen", "listen", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), steps, "{left} {right}");
        }
    }

    #[test]
    fn only_near_words_are_proposed() {
        let known = ["listen", "workers", "data_dir"];
        assert_eq!(nearest("worker", &known), Some("workers"));
        assert_eq!(nearest("datadir", &known), Some("data_dir"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }
}
