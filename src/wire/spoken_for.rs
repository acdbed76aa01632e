//! The fields that a client may send only to have them thrown away: names by which it could speak in the
//! gateway's name, or have a panel read another request than the one that was judged.
//!
//! A panel may have stood behind any of these products before, and may believe their fields still.

/// A name, or a family of names when it ends in `*`; beside it who sets it, or what it does.
type Row = (&'static str, &'static str);

/// By their first letter, which spares most fields the comparison.
const fn rows(first: u8) -> &'static [Row] {
    match first {
        b'a' => A,
        b'c' => C,
        b'e' => E,
        b'f' => F,
        b'g' => G,
        b'h' => H,
        b'i' => I,
        b'k' => K,
        b'l' => L,
        b'm' => M,
        b'o' => O,
        b'p' => P,
        b'r' => R,
        b's' => S,
        b't' => T,
        b'u' => U,
        b'x' => X,
        _ => &[],
    }
}

const A: &[Row] = &[
    ("ajp-*", "Tomcat's AJP attributes"),
    ("appengine-*", "Google App Engine"),
    ("auth-type", "CGI"),
    ("auth-user", "CGI"),
    ("authelia-*", "Authelia"),
    ("authentik-*", "authentik"),
];

const C: &[Row] = &[
    ("cas-*", "Apereo CAS (mod_auth_cas)"),
    ("cf-access-*", "Cloudflare Access"),
    ("cf-connecting-*", "Cloudflare"),
    ("cf-ipcountry", "Cloudflare"),
    ("cf-visitor", "Cloudflare"),
    ("client-cert", "RFC 9440"),
    ("client-cert-*", "RFC 9440"),
    ("client-ip", "several balancers"),
    ("cookie2", "RFC 2965"),
];

const E: &[Row] = &[("eppn", "Shibboleth")];

const F: &[Row] = &[
    ("fastly-client-*", "Fastly"),
    ("forwarded", "RFC 7239"),
    ("front-end-https", "Microsoft, Ruby on Rails"),
];

const G: &[Row] = &[("gap-auth", "oauth2-proxy")];

const H: &[Row] = &[("http-*", "CGI variables, folded twice")];

const I: &[Row] = &[("impersonate-*", "Kubernetes"), ("iv-*", "IBM WebSEAL")];

const K: &[Row] = &[
    ("kerberos-*", "mod_auth_gssapi"),
    ("keycloak-*", "Keycloak Gatekeeper"),
];

const L: &[Row] = &[("logged-in-user", "reverse proxies by hand")];

const M: &[Row] = &[("mellon-*", "mod_auth_mellon")];

const O: &[Row] = &[
    ("oam-*", "Oracle Access Manager"),
    ("oidc-*", "mod_auth_openidc"),
    ("okta-*", "Okta Access Gateway"),
    ("openid-*", "mod_auth_openid"),
];

const P: &[Row] = &[
    ("pf-*", "PingFederate"),
    ("pomerium-*", "Pomerium"),
    ("proxy", "CGI (httpoxy)"),
    ("proxy-remote-*", "reverse proxies by hand"),
    ("proxy-user", "reverse proxies by hand"),
];

const R: &[Row] = &[
    ("remote-*", "Authelia, CGI"),
    ("remoteuser", "reverse proxies by hand"),
];

const S: &[Row] = &[
    ("saml-*", "mod_auth_mellon, SAML proxies"),
    ("shib-*", "Shibboleth"),
    ("sm-*", "SiteMinder"),
    ("smuser", "SiteMinder"),
    ("ssl-*", "Apache, nginx ingress"),
];

const T: &[Row] = &[
    ("tailscale-*", "Tailscale Serve"),
    ("teleport-*", "Teleport"),
    ("tls-client-*", "several balancers"),
    ("true-client-ip", "Akamai, Cloudflare"),
];

const U: &[Row] = &[
    ("user", "reverse proxies by hand"),
    ("user-dn", "reverse proxies by hand"),
    ("user-email", "reverse proxies by hand"),
    ("user-groups", "reverse proxies by hand"),
    ("user-id", "reverse proxies by hand"),
    ("user-name", "reverse proxies by hand"),
    ("user-role", "reverse proxies by hand"),
    ("user-roles", "reverse proxies by hand"),
    ("username", "reverse proxies by hand"),
];

const X: &[Row] = &[
    ("x-accel-*", "nginx"),
    ("x-access-user", "reverse proxies by hand"),
    ("x-admin", "reverse proxies by hand"),
    ("x-admin-user", "reverse proxies by hand"),
    ("x-amzn-mtls-*", "AWS load balancers"),
    ("x-amzn-oidc-*", "AWS load balancers"),
    ("x-anonymous-*", "Kong"),
    ("x-apigateway-*", "Google API Gateway"),
    ("x-appengine-*", "Google App Engine"),
    ("x-application-user", "reverse proxies by hand"),
    ("x-arr-*", "Microsoft IIS ARR"),
    ("x-auth-audience", "Keycloak Gatekeeper"),
    ("x-auth-email", "Keycloak Gatekeeper"),
    ("x-auth-expiresin", "Keycloak Gatekeeper"),
    ("x-auth-familyname", "Keycloak Gatekeeper"),
    ("x-auth-givenname", "Keycloak Gatekeeper"),
    ("x-auth-group", "reverse proxies by hand"),
    ("x-auth-groups", "Keycloak Gatekeeper"),
    ("x-auth-id", "reverse proxies by hand"),
    ("x-auth-name", "reverse proxies by hand"),
    ("x-auth-request-*", "oauth2-proxy"),
    ("x-auth-role", "reverse proxies by hand"),
    ("x-auth-roles", "Keycloak Gatekeeper"),
    ("x-auth-subject", "Keycloak Gatekeeper"),
    (
        "x-auth-user*",
        "Keycloak Gatekeeper, reverse proxies by hand",
    ),
    ("x-authelia-*", "Authelia"),
    ("x-authenticated*", "Envoy and reverse proxies by hand"),
    ("x-authentik-*", "authentik"),
    ("x-authorized-*", "reverse proxies by hand"),
    ("x-azure-*", "Azure Front Door"),
    ("x-cert-*", "several balancers"),
    ("x-client-cert*", "several balancers"),
    ("x-client-cn", "several balancers"),
    ("x-client-dn", "several balancers"),
    ("x-client-ip", "several balancers"),
    ("x-client-s-dn", "several balancers"),
    ("x-client-subject*", "several balancers"),
    ("x-client-tls*", "several balancers"),
    ("x-client-verif*", "several balancers"),
    ("x-cluster-client-ip", "Rackspace, Zeus"),
    ("x-consumer-*", "Kong"),
    ("x-cosmos-*", "Cosmos"),
    ("x-credential-*", "Kong, APISIX"),
    ("x-current-user", "reverse proxies by hand"),
    ("x-email", "reverse proxies by hand"),
    ("x-end-user", "Istio, Envoy"),
    ("x-endpoint-api-*", "Google Cloud Endpoints"),
    ("x-envoy-*", "Envoy"),
    ("x-external-*", "Envoy external authorization"),
    ("x-forwarded", "several balancers"),
    ("x-forwarded-*", "all proxies"),
    ("x-goog-authenticated-*", "Google Identity-Aware Proxy"),
    ("x-goog-iap-*", "Google Identity-Aware Proxy"),
    ("x-group", "reverse proxies by hand"),
    ("x-groups", "reverse proxies by hand"),
    ("x-host", "rewriting"),
    ("x-http-destinationurl", "rewriting"),
    ("x-http-host-override", "rewriting"),
    ("x-http-method", "method override"),
    ("x-http-method-override", "method override"),
    ("x-http-verb", "method override"),
    ("x-identity*", "several proxies"),
    ("x-ingress-*", "Home Assistant"),
    ("x-invoke-*", "Next.js"),
    ("x-is-admin", "reverse proxies by hand"),
    ("x-jwt-*", "WSO2, Envoy"),
    ("x-kerberos-*", "reverse proxies by hand"),
    ("x-keycloak-*", "Keycloak proxies"),
    ("x-ldap-*", "nginx LDAP"),
    ("x-logged-in-user", "reverse proxies by hand"),
    ("x-login", "reverse proxies by hand"),
    ("x-method", "method override"),
    ("x-method-override", "method override"),
    ("x-middleware-*", "Next.js (CVE-2025-29927)"),
    ("x-ms-client-*", "Azure App Service"),
    ("x-ms-token-*", "Azure App Service"),
    ("x-oidc-*", "mod_auth_openidc, Kong"),
    ("x-okta-*", "Okta Access Gateway"),
    (
        "x-original-*",
        "rewriting (CVE-2018-14773), several balancers",
    ),
    ("x-originating-*", "mail and balancers"),
    ("x-override-*", "rewriting"),
    ("x-pomerium-*", "Pomerium"),
    ("x-portcullis-*", "the gateway"),
    ("x-principal*", "reverse proxies by hand"),
    ("x-proxy-*", "several proxies"),
    ("x-proxyuser*", "several proxies"),
    ("x-real-*", "nginx"),
    ("x-remote-*", "Kubernetes, reverse proxies by hand"),
    ("x-remoteuser", "reverse proxies by hand"),
    ("x-rewrite-*", "rewriting (CVE-2018-14773)"),
    ("x-role", "reverse proxies by hand"),
    ("x-roles", "reverse proxies by hand"),
    ("x-saml-*", "SAML proxies"),
    ("x-sandstorm-*", "Sandstorm"),
    ("x-script-name", "rewriting (Flask and others)"),
    ("x-sendfile*", "Apache, lighttpd"),
    ("x-shib-*", "Shibboleth"),
    ("x-spiffe-*", "SPIFFE"),
    ("x-ssl*", "several balancers"),
    ("x-sso-*", "reverse proxies by hand"),
    ("x-subject*", "reverse proxies by hand"),
    ("x-teleport-*", "Teleport"),
    ("x-tls-*", "several balancers"),
    ("x-token-*", "Caddy Security, Traefik"),
    ("x-trusted-*", "reverse proxies by hand"),
    ("x-user", "reverse proxies by hand"),
    ("x-user-*", "reverse proxies by hand, Caddy Security"),
    ("x-userid", "reverse proxies by hand"),
    ("x-userinfo", "Kong, APISIX"),
    ("x-username", "reverse proxies by hand"),
    ("x-vouch-*", "Vouch Proxy"),
    ("x-webauth", "Grafana, Gitea, Forgejo"),
    ("x-webauth-*", "Grafana, Gitea, Forgejo"),
    ("x-wso2-*", "WSO2"),
];

/// Whether a name in lower case stands in the table, or is of one of its families.
pub(super) fn is_listed(name: &str) -> bool {
    let first = name.as_bytes().first().copied().unwrap_or_default();
    rows(first)
        .iter()
        .any(|(row, _)| match row.strip_suffix('*') {
            Some(family) => name.starts_with(family),
            None => name == *row,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_first_letter() {
        for letter in 0..=u8::MAX {
            assert!(rows(letter).is_sorted_by_key(|(name, _)| name), "{letter}");
            for (name, product) in rows(letter) {
                assert_eq!(name.as_bytes().first(), Some(&letter), "{name}");
                assert!(!product.is_empty() && *name == name.to_lowercase());
                assert!(is_listed(&name.replace('*', "a")), "{name}");
            }
        }
    }

    #[test]
    fn what_pages_and_programs_send_for_themselves_is_not_listed() {
        for name in [
            "accept",
            "authorization",
            "cache-control",
            "content-type",
            "cookie",
            "depth",
            "destination",
            "if-match",
            "last-event-id",
            "origin",
            "range",
            "referer",
            "sec-fetch-site",
            "user-agent",
            "upgrade-insecure-requests",
            "via",
            "x-access-token",
            "x-api-key",
            "x-auth-token",
            "x-csrf-token",
            "x-csrftoken",
            "x-grafana-org-id",
            "x-request-id",
            "x-requested-with",
            "x-vault-token",
            "x-wp-nonce",
            "x-xsrf-token",
            "traceparent",
            "priority",
            "save-data",
            "service-worker",
            "tus-resumable",
            "upload-offset",
            "x-goog-api-key",
            "x-amz-date",
            "x-ms-version",
            "hx-request",
        ] {
            assert!(!is_listed(name), "{name}");
        }
    }
}
