//! `portcullis user list`: everybody.

use http::Method;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::failure::Done;
use crate::cli::settings::Settings;
use crate::cli::{Form, output};

pub(super) async fn run(settings: &Settings, form: Form) -> Done {
    let client = Client::reach(&settings.read()?).await?;
    let people = client.call(Method::GET, "/v1/users", None).await?;
    if form.json {
        return output::document(&people);
    }
    let people = people.as_array().map(Vec::as_slice).unwrap_or_default();
    if people.is_empty() {
        return output::line("Nobody yet; portcullis user add NAME --role ROLE adds somebody.");
    }
    let rows: Vec<Vec<String>> = people.iter().map(row).collect();
    output::table(
        &[
            "NAME",
            "ROLE",
            "SECOND FACTOR",
            "SESSIONS",
            "STATE",
            "EMAIL",
        ],
        &rows,
    )
}

fn row(person: &Value) -> Vec<String> {
    let text = |field: &str| {
        let text = person.get(field).and_then(Value::as_str);
        text.unwrap_or("-").to_owned()
    };
    let factors = person.get("second_factors").and_then(Value::as_array);
    let factors: Vec<&str> = factors
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let sessions = person.get("sessions").and_then(Value::as_u64).unwrap_or(0);
    let disabled = person.get("disabled").and_then(Value::as_bool) == Some(true);
    vec![
        text("name"),
        text("role"),
        if factors.is_empty() {
            "-".to_owned()
        } else {
            factors.join(", ")
        },
        sessions.to_string(),
        if disabled { "disabled" } else { "active" }.to_owned(),
        text("email"),
    ]
}
