//! Logs tell no secret. Every gateway of every test is searched when it goes (`support::secrets`);
//! here is what a log would most easily tell, and the proof that the search finds something.

use crate::support::gateway::Gateway;
use crate::support::panel::Panel;
use crate::support::secrets;

#[test]
fn the_search_finds_a_secret_in_every_spelling() {
    secrets::keep("heron & 7 lilies");
    secrets::keep("135792");
    for told in [
        "password: heron & 7 lilies",
        "/login?password=heron%20%26%207%20lilies",
        "password=heron+&+7+lilies",
        "\"code\":\"135792\"",
        "code=135792",
    ] {
        assert_eq!(secrets::given_away_by(told).len(), 1, "{told}");
    }
    let fraction = "2026-11-23T17:20:01.135792Z a request";
    assert!(secrets::given_away_by(fraction).is_empty());
}

#[tokio::test]
async fn secrets_in_odd_places_are_not_logged_either() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let token = gateway.token("revoke,users,read");
    let session = ada.token().to_owned();
    let garbage = "not http at all\r\n\r\n";
    panel.answers_oddly("nonsense", garbage);
    for query in [&session, &token, &ada.password.replace(' ', "+")] {
        let failing = ada.get(&format!("/odd/nonsense?token={query}")).await;
        assert_eq!(failing.status, 502, "{}", failing.text());
        for target in ["/.portcullis/setup?token=", "/.portcullis/nowhere?token="] {
            ada.get(&format!("{target}{query}")).await;
        }
        let path = format!("/v1/nowhere?token={query}");
        let lost = gateway.call(&token, "GET", &path, "").await;
        assert_eq!(lost.status, 404, "{}", lost.text());
    }
    let body = format!("{{\"reason\": 7, \"note\": \"{session}\"}}");
    let path = "/v1/users/ada/password-changed";
    let refused = gateway.call(&token, "POST", path, &body).await;
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    let mut stranger = ada.elsewhere();
    stranger.name = ada.password.clone();
    stranger.give_password().await;
    let log = gateway.log();
    assert!(log.contains("not answered by the panel"), "{log}");
    assert_eq!(secrets::given_away_by(&log), Vec::<String>::new(), "{log}");
}
