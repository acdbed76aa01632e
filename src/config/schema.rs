//! A JSON Schema of the configuration, for editors: what the parser asked for while it read, with
//! the words and defaults of the commented default file. So it can't say anything but what is read.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::Config;
use super::fault::Report;
use super::written::Section;

/// The commented default, which the tests hold to the defaults of the code.
const DEFAULT: &str = include_str!("../../config/portcullis.toml");

/// Every list of sections with one in it, so that each is asked for all its keys.
const WHOLE: &str = "[[panel]]\nupstream = \"http://127.0.0.1:1\"\n[[panel.rule]]\npath = \"/\"\nallow = \"anyone\"\n";

/// What was asked for at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Text,
    NeededText,
    Flag,
    Number(usize, usize),
    Texts,
    /// More than one type is possible.
    Any,
    Section,
    Sections,
}

/// What was asked for, by the names on the way to it.
pub(super) type Sketch = BTreeMap<Vec<&'static str>, Asked>;

/// The schema, in JSON Schema 2020-12.
pub fn schema() -> Value {
    let mut report = Report::new(Path::new("portcullis.toml"), WHOLE);
    let (file, _) = DeTable::parse_recoverable(WHOLE);
    // What it means does not matter here.
    let _ = Config::understand(Section::whole(&file), &mut report);
    let (defaults, _) = DeTable::parse_recoverable(DEFAULT);
    let mut schema = table(&report.sketch, &[], Some(defaults.get_ref()));
    if let Some(members) = schema.as_object_mut() {
        let more = [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("title", "Portcullis configuration"),
        ];
        members.extend(more.map(|(name, value)| (name.to_owned(), json!(value))));
    }
    schema
}

fn table(sketch: &Sketch, path: &[&'static str], defaults: Option<&DeTable<'_>>) -> Value {
    let inside = sketch
        .iter()
        .filter(|(key, _)| key.len() == path.len() + 1 && key.starts_with(path));
    let (mut members, mut needed) = (Map::new(), Vec::new());
    for (key, asked) in inside {
        let Some(name) = key.last() else { continue };
        if *asked == Asked::NeededText {
            needed.push(*name);
        }
        let default = defaults.and_then(|table| entry(table, name));
        members.insert((*name).to_owned(), member(sketch, key, asked, default));
    }
    json!({
        "type": "object",
        "properties": members,
        "required": needed,
        "additionalProperties": false,
    })
}

fn member(
    sketch: &Sketch,
    path: &[&'static str],
    asked: &Asked,
    default: Option<&DeValue<'_>>,
) -> Value {
    let inside = |value: Option<&DeValue<'_>>| match value {
        Some(DeValue::Table(inside)) => table(sketch, path, Some(inside)),
        Some(DeValue::Array(items)) => match items.iter().next().map(|item| item.get_ref()) {
            Some(DeValue::Table(inside)) => table(sketch, path, Some(inside)),
            _ => table(sketch, path, None),
        },
        _ => table(sketch, path, None),
    };
    let mut schema = match asked {
        Asked::Text | Asked::NeededText => json!({ "type": "string" }),
        Asked::Flag => json!({ "type": "boolean" }),
        Asked::Number(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Asked::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Asked::Any => json!({}),
        Asked::Section => return inside(default),
        Asked::Sections => return json!({ "type": "array", "items": inside(default) }),
    };
    let default = default.filter(|_| *asked != Asked::NeededText);
    let more = [
        ("default", default.and_then(as_json)),
        ("description", words(path).map(Value::from)),
    ];
    for (name, value) in more {
        if let (Some(members), Some(value)) = (schema.as_object_mut(), value) {
            members.insert(name.to_owned(), value);
        }
    }
    schema
}

/// What the default file says of a key: the comment above it, which may be above a group of keys; of
/// one inside braces, that of the whole; or its row in a table of a comment, as rules have.
fn words(path: &[&str]) -> Option<String> {
    let (name, sections) = path.split_last()?;
    let section = sections.join(".");
    let (mut here, mut said, mut is_said) = (String::new(), Vec::new(), false);
    for line in DEFAULT.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix('#') {
            if std::mem::take(&mut is_said) {
                said.clear();
            }
            if let Some(row) = row_of(words, name) {
                return Some(row.to_owned());
            }
            said.push(words.trim());
        } else if line.starts_with('[') {
            here = line.trim_matches(['[', ']']).to_owned();
            said.clear();
        } else if let Some((key, _)) = line.split_once(" = ") {
            let is_here = here == section && key == *name;
            if is_here || format!("{here}.{key}") == section {
                return (!said.is_empty()).then(|| said.join(" "));
            }
            is_said = true;
        } else {
            said.clear();
        }
    }
    None
}

/// What the row of a table of keys says of this one: the key, space, words.
fn row_of<'w>(comment: &'w str, name: &str) -> Option<&'w str> {
    let words = comment.strip_prefix("   ")?.strip_prefix(name)?;
    words.starts_with("  ").then(|| words.trim())
}

fn entry<'v>(table: &'v DeTable<'_>, key: &str) -> Option<&'v DeValue<'v>> {
    let mut entries = table.iter();
    let (_, value) = entries.find(|(name, _)| name.get_ref() == key)?;
    Some(value.get_ref())
}

fn as_json(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(json!(text)),
        DeValue::Boolean(flag) => Some(json!(flag)),
        DeValue::Integer(number) => number
            .as_str()
            .parse::<i64>()
            .ok()
            .map(|number| json!(number)),
        DeValue::Array(items) => items.iter().map(|item| as_json(item.get_ref())).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'v>(schema: &'v Value, path: &str) -> &'v Value {
        path.split('.').fold(schema, |schema, name| match name {
            "*" => &schema["items"],
            name => &schema["properties"][name],
        })
    }

    #[test]
    fn what_is_read_is_described() {
        let schema = schema();
        assert_eq!(at(&schema, "tls.development")["type"], "boolean");
        assert_eq!(at(&schema, "tls.development")["default"], false);
        assert_eq!(at(&schema, "session.idle_timeout")["default"], "30m");
        assert_eq!(at(&schema, "password.min_length")["minimum"], 8);
        assert_eq!(at(&schema, "panel.*.upstream")["type"], "string");
        assert_eq!(at(&schema, "panel.*.rule.*.path")["type"], "string");
        assert_eq!(at(&schema, "gateway.listen")["type"], "array");
        let words = at(&schema, "session.lifetime")["description"].as_str();
        assert!(
            words.is_some_and(|words| words.contains("ends")),
            "{words:?}"
        );
    }

    /// Each key of the default file, of its type and with the default that stands there.
    #[test]
    fn the_default_file_is_what_the_schema_says() {
        fn compare(table: &DeTable<'_>, schema: &Value, path: &str) {
            for (name, value) in table {
                let (name, value): (&str, _) = (name.get_ref(), value.get_ref());
                let known = &schema["properties"][name];
                let path = format!("{path}.{name}");
                assert!(known.is_object(), "{path} is not in the schema");
                match value {
                    DeValue::Table(inside) => compare(inside, known, &path),
                    DeValue::Array(items) if known["items"]["properties"].is_object() => {
                        for item in items.iter() {
                            if let DeValue::Table(inside) = item.get_ref() {
                                compare(inside, &known["items"], &path);
                            }
                        }
                    }
                    _ if schema["required"]
                        .as_array()
                        .unwrap()
                        .contains(&json!(name)) => {}
                    value => assert_eq!(known["default"], as_json(value).unwrap(), "{path}"),
                }
            }
        }
        let (file, errors) = DeTable::parse_recoverable(DEFAULT);
        assert!(errors.is_empty());
        compare(file.get_ref(), &schema(), "");
    }

    #[test]
    fn every_key_has_words() {
        fn look(schema: &Value, path: &str, silent: &mut Vec<String>) {
            let Some(members) = schema["properties"].as_object() else {
                return;
            };
            for (name, member) in members {
                let path = format!("{path}.{name}");
                let inside = if member["items"]["properties"].is_object() {
                    &member["items"]
                } else {
                    member
                };
                if inside["properties"].is_object() {
                    look(inside, &path, silent);
                } else if member["description"].as_str().is_none() {
                    silent.push(path);
                }
            }
        }
        let mut silent = Vec::new();
        look(&schema(), "", &mut silent);
        assert!(
            silent.is_empty(),
            "say in config/portcullis.toml what these are for: {silent:?}"
        );
    }
}
