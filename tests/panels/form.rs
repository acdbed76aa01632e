//! Forms of HTML pages: read, filled in, and written as a browser would.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) const BOUNDARY: &str = "----boundary-of-a-browser";

/// What would be sent of a form.
pub(crate) struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    /// The form of a page that has this attribute, with what it holds already.
    pub(crate) fn read(page: &str, attribute: &str) -> Self {
        let form = page
            .split("<form")
            .find(|form| form.split('>').next().unwrap().contains(attribute))
            .unwrap_or_else(|| panic!("no form with {attribute} in {page}"));
        let form = form.split("</form>").next().unwrap();
        let fields = form.split("<input").skip(1).filter_map(field).collect();
        Self { fields }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut known = self.fields.iter();
        let (_, value) = known.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Fills in a field that the form has.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let field = self.fields.iter_mut().find(|(known, _)| known == name);
        let (_, old) = field.unwrap_or_else(|| panic!("no field {name}"));
        value.clone_into(old);
    }

    /// Adds what a list of choices, a text area or a script of the page would.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn encoded(&self) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let pairs: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        pairs.join("&")
    }

    /// With a file in the field `file`.
    pub(crate) fn multipart(&self, name: &str, file: &[u8]) -> Vec<u8> {
        let mut head = String::new();
        for (field, value) in &self.fields {
            head += &format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
            );
        }
        head += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        [head.as_bytes(), file, tail.as_bytes()].concat()
    }
}

/// Of what follows `<input`: what would be sent.
fn field(tag: &str) -> Option<(String, String)> {
    let tag = tag.split('>').next()?;
    let name = attribute(tag, "name")?;
    let kind = attribute(tag, "type").unwrap_or_default();
    let is_choice = ["checkbox", "radio"].contains(&kind.as_str());
    let is_other_button = kind == "submit" && name != "_save";
    if ["file", "image"].contains(&kind.as_str())
        || is_other_button
        || (is_choice && !tag.contains(" checked"))
    {
        return None;
    }
    let default = if is_choice { "on" } else { "" };
    let value = attribute(tag, "value").unwrap_or_else(|| default.to_owned());
    Some((name, value))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let quoted = |quote: char| {
        let start = format!(" {name}={quote}");
        let rest = &tag[tag.find(&start)? + start.len()..];
        Some(rest[..rest.find(quote)?].to_owned())
    };
    let mut value = quoted('"').or_else(|| quoted('\''))?;
    for (escaped, plain) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#039;", "'"),
        ("&amp;", "&"),
    ] {
        value = value.replace(escaped, plain);
    }
    Some(value)
}
