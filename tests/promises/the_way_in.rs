//! Set up, sign in, use the panel.

use crate::support::gateway::Gateway;
use crate::support::panel::Panel;

#[tokio::test]
async fn a_person_sets_up_signs_in_and_uses_the_panel() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let page = ada.get("/echo").await;
    assert_eq!(page.status, 200);
    let seen = panel.seen_with("/echo").pop().unwrap();
    assert_eq!(seen.all("x-forwarded-user"), ["ada"]);
    assert_eq!(seen.all("x-forwarded-role"), ["operator"]);
    assert!(!panel.ever_got(ada.token().as_bytes()));
    let code = ada.next_code();
    let answer = ada.elsewhere().sign_in_with(&code).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let mut again = ada.elsewhere();
    again.sign_in().await;
    assert_eq!(again.get("/echo").await.status, 200);
    let mut socket = ada.websocket().await;
    socket.check_echo().await;
}
