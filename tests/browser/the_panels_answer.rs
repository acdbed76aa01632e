//! What a panel answers acts on its own page in a real browser, and not on the origin.

use crate::browser::Browser;
use crate::support::gateway::Gateway;
use crate::support::panel::Panel;
use crate::the_panels_script::signs_in;

#[tokio::test]
async fn a_panel_that_clears_its_site_signs_nobody_out() {
    let panel = Panel::start().await;
    let fields = "Content-Type: text/html\r\nClear-Site-Data: \"cookies\", \"storage\"\r\n\
                  clear-site-data: \"*\"\r\n";
    panel.has_page("/clears", fields, "<!doctype html><title>Cleared</title>");
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let browser = Browser::start().await;
    let origin = format!("https://localhost:{}", gateway.port);
    signs_in(&browser, &ada, &origin).await;
    browser.go(&format!("{origin}/clears")).await;
    browser.go(&format!("{origin}/echo")).await;
    let text = browser.text("body").await;
    assert!(text.contains("x-forwarded-user: ada"), "{text}");
}
