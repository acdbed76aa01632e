//! What one side may not say in the gateway's name: identity of other products from a client, and
//! fields of a panel's answer that act on the whole origin.

use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;

/// Each from the manual of a product that signs people in before a panel, or that panels obey.
const NAMES: &str = "
    X-WEBAUTH-USER X-WEBAUTH-ROLE X-Webauth-Groups X-Webauth X-Auth-Request-User X-Auth-Request-Groups
    X-Auth-Request-Access-Token Remote-User Remote-Groups Remote-Name Remote-Email X-Remote-User
    X-Remote-Group X-Remote-Extra-Scopes X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups
    X-Forwarded-Preferred-Username X-Forwarded-Access-Token X-Forwarded-Client-Cert
    X-Forwarded-Tls-Client-Cert-Info CF-Access-Jwt-Assertion CF-Access-Authenticated-User-Email
    X-Goog-IAP-JWT-Assertion X-Goog-Authenticated-User-Email X-Amzn-Oidc-Identity X-Amzn-Oidc-Data
    X-Amzn-Mtls-Clientcert X-MS-CLIENT-PRINCIPAL X-MS-CLIENT-PRINCIPAL-NAME X-MS-TOKEN-AAD-ID-TOKEN
    X-authentik-username X-authentik-groups Tailscale-User-Login Tailscale-User-Name
    X-Pomerium-Jwt-Assertion X-Pomerium-Claim-Email X-SSL-Client-DN X-SSL-Client-Verify SSL-Client-Cert
    SSL-Client-Subject-DN X-Client-Cert X-Client-DN Client-Cert Client-Cert-Chain X-Vouch-User
    X-Vouch-Idp-Claims-Groups OIDC-CLAIM-sub OIDC-Claim-Email X-Token-Subject X-Token-User-Name
    X-Token-User-Email X-User X-User-Id X-User-Roles X-Username X-Userinfo X-Email X-Groups X-Roles
    X-Consumer-Username X-Consumer-Custom-Id X-Credential-Identifier X-Authenticated-Userid
    X-Authenticated-User X-Auth-User X-Auth-Username X-Auth-Email X-Auth-Roles X-Auth-Groups
    X-Auth-Subject Authelia-User X-Authelia-Username Shib-Session-ID Shib-Identity-Provider eppn
    SM-USER SM-Universalid iv-user iv-groups iv-creds OAM-Remote-User Mellon-Name-Id CAS-User
    Impersonate-User Impersonate-Group Impersonate-Extra-Scopes X-JWT-Assertion X-Appengine-User-Email
    X-Endpoint-Api-Userinfo X-Apigateway-Api-Userinfo Teleport-Jwt-Assertion X-Teleport-User
    GAP-Auth X-Sandstorm-User-Id X-Sso-User X-Saml-Uid X-Oidc-Email X-Principal X-Identity-Id
    X-Trusted-User X-Proxy-User Proxy-Remote-User User-Name True-Client-IP X-Real-IP Client-IP
    X-HTTP-Method X-HTTP-Method-Override X-Method-Override X-Original-URL X-Original-URI
    X-Original-Method X-Rewrite-URL X-Override-URL X-Host X-HTTP-Host-Override X-Script-Name
    X-Middleware-Subrequest X-Accel-Redirect X-Sendfile Proxy X-Forwarded-Prefix X-Forwarded-Uri
    X-Forwarded-Scheme X-Forwarded-Server Front-End-Https Ssl_Client_S_Dn X_Forwarded_User
    REMOTE_USER HTTP_REMOTE_USER X.Forwarded.User X~User OIDC_CLAIM_groups OIDC_access_token
    Who-Role Who Who-User-Groups";

/// What pages and programs need.
const PASSES: &str =
    "X-Requested-With X-CSRF-Token X-Auth-Token X-Api-Key X-Access-Token X-WP-Nonce
    X-Grafana-Org-Id Last-Event-ID If-None-Match Range Traceparent X-Request-Marker";

#[tokio::test]
async fn no_client_says_who_it_is_in_the_words_of_any_product() {
    let panel = Panel::start().await;
    let identity = "[panel.identity]\nheaders = { user = \"Who-User\" }\n";
    let gateway = Gateway::with(&panel, "", &format!("{identity}{RULES}")).await;
    let olga = gateway.person("olga", "operator").await;
    let line = |name: &str| format!("{name}: forged-{}", name.to_lowercase());
    let forged: Vec<String> = NAMES.split_whitespace().map(line).collect();
    let passing: Vec<String> = PASSES.split_whitespace().map(line).collect();
    let cookie = olga.cookie();
    let mut wire = olga.connect().await;
    // Few at a time, as a head has room for a hundred.
    for some in forged.chunks(40) {
        let mut fields: Vec<&str> = some.iter().map(String::as_str).collect();
        fields.push(&cookie);
        for target in ["/echo", "/static/echo"] {
            let answer = wire.get(target, &fields).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    assert!(!panel.ever_got(b"forged-"), "{:?}", panel.seen());
    let seen = panel.seen_with(" /echo ");
    assert!(seen.iter().all(|seen| seen.all("who-user") == ["olga"]));
    assert!(
        seen.iter()
            .all(|seen| seen.all("via") == ["1.1 portcullis"])
    );

    let mut fields: Vec<&str> = passing.iter().map(String::as_str).collect();
    fields.extend([&cookie, "Via: 1.0 browser"]);
    wire.get("/echo?passes", &fields).await;
    let seen = &panel.seen_with("passes")[0];
    for name in PASSES.split_whitespace() {
        let expected = format!("forged-{}", name.to_lowercase());
        assert_eq!(seen.all(name), [expected], "{name}");
    }
    assert_eq!(seen.all("via"), ["1.0 browser", "1.1 portcullis"]);
}

#[tokio::test]
async fn no_answer_of_a_panel_acts_on_the_whole_origin() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let fields = "Clear-Site-Data: \"cookies\"\r\nclear-site-data: \"cache\", \"storage\", \"*\"\r\n\
                  Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\
                  Alt-Svc: h3=\":443\"; ma=86400\r\nPublic-Key-Pins: pin-sha256=\"x\"\r\n\
                  NEL: {\"report_to\":\"x\"}\r\nReport-To: {\"group\":\"x\"}\r\nExpect-CT: max-age=1\r\n\
                  Set-Login: logged-out\r\nSet-Cookie2: __Host-portcullis=x\r\n\
                  Set-Cookie: __Host-Http-portcullis=x\r\nSet-Cookie: __HOST-HTTP-Portcullis =x\r\n\
                  Set-Cookie: =__Host-portcullis=x\r\nSet-Cookie: kept=1\r\nX-Kept: 1\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    panel.answers_oddly("x", answer);
    let got = ada.connect().await.get("/odd/x", &[&ada.cookie()]).await;
    for name in [
        "strict-transport-security",
        "alt-svc",
        "public-key-pins",
        "nel",
        "report-to",
        "expect-ct",
        "set-login",
        "set-cookie2",
    ] {
        assert_eq!(got.header(name), None, "{name}");
    }
    assert_eq!(got.all("clear-site-data"), ["\"cache\""]);
    assert_eq!(got.all("set-cookie"), ["kept=1"]);
    assert_eq!(got.header("x-kept"), Some("1"));
}

#[tokio::test]
async fn addresses_that_name_the_upstream_lead_to_the_browsers_host() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let (inside, outside) = (panel.port, gateway.port);
    for (name, sent, seen) in [
        (
            "Location",
            "http://127.0.0.1:{in}/a b",
            "https://localhost:{out}/a b",
        ),
        (
            "Location",
            "HTTP://127.0.0.1:{in}/<\u{e9}>",
            "https://localhost:{out}/<\u{e9}>",
        ),
        (
            "Location",
            "//127.0.0.1:{in}/x",
            "https://localhost:{out}/x",
        ),
        (
            "Location",
            "http://LOCALHOST:{out}/x",
            "https://localhost:{out}/x",
        ),
        (
            "Content-Location",
            "http://127.0.0.1:{in}/x",
            "https://localhost:{out}/x",
        ),
        (
            "Refresh",
            "5; URL='http://127.0.0.1:{in}/x'",
            "5; URL='https://localhost:{out}/x'",
        ),
        ("Refresh", "0;url=/x", "0;url=/x"),
        (
            "Location",
            "http://127.0.0.1.example:{in}/x",
            "http://127.0.0.1.example:{in}/x",
        ),
    ] {
        let fill = |text: &str| {
            let text = text.replace("{in}", &inside.to_string());
            text.replace("{out}", &outside.to_string())
        };
        let answer = format!(
            "HTTP/1.1 302 Found\r\n{name}: {}\r\nContent-Length: 0\r\n\r\n",
            fill(sent)
        );
        panel.answers_oddly("x", answer);
        let answer = ada.get("/odd/x").await;
        assert_eq!(
            answer.header(&name.to_lowercase()),
            Some(fill(seen).as_str()),
            "{sent}"
        );
    }
}
