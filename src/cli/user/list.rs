//! `portcullis user list`: everybody.

use http::Method;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::failure::Done;
use crate::cli::output::{number, text, words};
use crate::cli::settings::Settings;
use crate::cli::{Form, output};

pub(super) async fn run(settings: &Settings, form: Form) -> Done {
    let client = Client::reach(&settings.read()?).await?;
    let people = client.call(Method::GET, "/v1/users", None).await?;
    if form.json {
        return output::document(&people);
    }
    let people = output::entries(&people);
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
            "E-MAIL",
        ],
        &rows,
    )
}

fn row(person: &Value) -> Vec<String> {
    vec![
        text(person, "name"),
        text(person, "role"),
        words(person, "second_factors"),
        number(person, "sessions").to_string(),
        super::state(person).to_owned(),
        text(person, "email"),
    ]
}
