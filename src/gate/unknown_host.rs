//! A request for a host that has nothing here: what was seen, and where the gateway is instead.

use http::StatusCode;

use super::Gate;
use super::target::Host;
use crate::wire::Problem;

/// Characters of a host that are shown. It has none but those of names, addresses and ports.
const LONGEST_SHOWN: usize = 100;

impl Gate {
    /// 421, with the way to the gateway, or from a host without a panel to the gateway's own pages.
    pub(super) fn unknown_host(&self, host: &Host) -> Problem {
        let seen = shortened(host.written());
        let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown host");
        if host.canonical() == self.external.host() {
            // There the person is already.
            let portal = self.portal.as_ref().unwrap_or(&self.external);
            return problem
                .detail(format!(
                    "the request was for the host {seen}, which has no panel; the gateway's own pages are \
                     at {portal}"
                ))
                .field("host", seen)
                .field("portal", portal.join("/.portcullis/account"));
        }
        problem
            .detail(format!(
                "the request was for the host {seen}, and no panel of this gateway has that name; the \
                 gateway is at {}. Where a proxy stands in front, let it pass on the Host that the \
                 browser sent",
                self.external
            ))
            .field("host", seen)
            .field("gateway", self.external.to_string())
    }
}

fn shortened(host: &str) -> String {
    match host.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", host.get(..end).unwrap_or_default()),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::super::{Asked, Verdict};
    use super::*;
    use crate::clock::{Clock, Timestamp};
    use crate::config::{ExternalUrl, SessionLimits};
    use crate::model::ClientAddress;
    use crate::session::Sessions;

    /// What a gate without panels says.
    fn verdict(portal: Option<&str>, host: &str, path: &str) -> Verdict {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (clock, _hand) = Clock::manual(now);
        let sessions = Sessions::new(SessionLimits::default(), clock);
        let gate = Gate::new(
            ExternalUrl::of("https://here.example"),
            Vec::new(),
            sessions,
        )
        .with_portal_at(portal.map(ExternalUrl::of));
        let request = Request::get(path).header("host", host).body(()).unwrap();
        let client = ClientAddress::Known("192.0.2.1".parse().unwrap());
        gate.decide(&request.into_parts().0, client, now, Asked::Nothing)
    }

    fn refusal(portal: Option<&str>, host: &str) -> Problem {
        match verdict(portal, host, "/x") {
            Verdict::Refuse(problem, _) => problem,
            verdict => panic!("{host}: {verdict:?}"),
        }
    }

    #[test]
    fn an_unknown_host_is_told_what_was_seen_and_where_to_go() {
        let long = format!("{}example", "a.".repeat(100));
        let shown = format!("{}…", &long[..LONGEST_SHOWN]);
        for (host, seen) in [
            ("Third.example:8443", "Third.example:8443"),
            ("[::1]:1", "[::1]:1"),
            (long.as_str(), shown.as_str()),
        ] {
            let problem = refusal(None, host);
            assert_eq!(problem.status(), 421);
            assert_eq!(problem.text_of("host"), Some(seen));
            assert_eq!(problem.text_of("gateway"), Some("https://here.example"));
            let detail = problem.detail_text();
            assert!(detail.contains(seen) && detail.contains("https://here.example"));
        }
        let style = verdict(None, "third.example", "/.portcullis/assets/style.css");
        assert!(matches!(style, Verdict::Portal(_)), "{style:?}");
        let page = verdict(None, "third.example", "/.portcullis/login");
        assert!(matches!(page, Verdict::Refuse(..)), "{page:?}");
    }

    #[test]
    fn a_host_without_a_panel_does_not_lead_to_itself() {
        for (portal, leads) in [
            (None, "https://here.example/.portcullis/account"),
            (
                Some("https://p.example"),
                "https://p.example/.portcullis/account",
            ),
        ] {
            let problem = refusal(portal, "here.example");
            assert_eq!(problem.text_of("portal"), Some(leads));
            assert_eq!(problem.text_of("gateway"), None);
        }
    }
}
