//! What was let pass is judged again when the rules change.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::request::Builder;

use super::{Porch, get, parts};
use crate::config::{Allow, Bounds, ExternalUrl, Panel, PathReading, Rule, Upstream};
use crate::gate::{Asked, Gate, Permit, Verdict};
use crate::model::{ClientAddress, Role};
use crate::session::CutReason::{self, NotAllowed, PanelMoved};
use crate::wire::Authority;

type Judged = Result<(), CutReason>;
/// What changes, what is configured then, and what becomes of a stranger's exchange and a person's.
type Case = (&'static str, Panel, Judged, Judged);

const NO: Judged = Err(NotAllowed);
const MOVED: Judged = Err(PanelMoved);

fn rule(path: &str, allow: Allow) -> Rule {
    Rule {
        path: path.to_owned(),
        methods: None,
        allow,
        reauthenticate: None,
    }
}

fn administrators(path: &str) -> Rule {
    rule(path, Allow::Roles(vec![Role::Administrator]))
}

fn within(seconds: u64) -> Rule {
    Rule {
        reauthenticate: Some(Duration::from_secs(seconds)),
        ..rule("/", Allow::SignedIn)
    }
}

fn rules_that_change(old: &Panel) -> Vec<Case> {
    let with = |rules: Vec<Rule>| Panel {
        rules,
        ..old.clone()
    };
    let posts = Rule {
        methods: Some(vec![Method::POST]),
        ..administrators("/")
    };
    let exact = Panel {
        path_reading: PathReading::Exact,
        ..with(vec![administrators("/files/a/")])
    };
    vec![
        ("nothing", old.clone(), Ok(()), Ok(())),
        ("nothing is open", with(vec![]), NO, Ok(())),
        ("recent then", with(vec![within(600)]), NO, Ok(())),
        ("not recent enough", with(vec![within(299)]), NO, NO),
        ("a role", with(vec![administrators("/")]), NO, NO),
        ("a method", with(vec![posts]), NO, Ok(())),
        ("a path", with(vec![administrators("/files/a/")]), NO, NO),
        ("an exact reading", exact, NO, Ok(())),
    ]
}

fn panels_that_change(old: &Panel, second: &Panel) -> Vec<Case> {
    let elsewhere = Panel {
        upstream: Upstream::Http(Authority::parse("127.0.0.1:2").unwrap()),
        ..old.clone()
    };
    let certificate = Panel {
        upstream_name: Some("b.example".to_owned()),
        ..old.clone()
    };
    let renamed = Panel {
        name: "b".to_owned(),
        bounds: Bounds {
            max_body: Some(1),
            ..Bounds::default()
        },
        ..old.clone()
    };
    vec![
        ("no panel", second.clone(), NO, NO),
        ("another place", elsewhere, MOVED, MOVED),
        ("another certificate", certificate, MOVED, MOVED),
        ("another name and other bounds", renamed, Ok(()), Ok(())),
    ]
}

/// It is held against other rules as if it were asked for again at the time.
#[test]
fn what_is_open_is_judged_by_changed_rules() {
    let porch = Porch::new();
    let permit = |request: Builder| -> Permit {
        let client = ClientAddress::Known("192.0.2.1".parse().unwrap());
        let (parts, now) = (parts(request), porch.clock.now());
        match porch.gate.decide(&parts, client, now, Asked::Nothing) {
            Verdict::Pass(permit) => permit,
            other => panic!("{other:?}"),
        }
    };
    let operator = porch.sign_in(Role::Operator);
    porch.hand.advance(Duration::from_secs(300));
    let begun = porch.clock.now();
    let stranger = permit(get("/static/a"));
    let page = permit(get("/files/A").header("cookie", &operator));
    porch.hand.advance(Duration::from_secs(900));
    let [old, second] = [0, 1].map(|at| Panel::clone(&porch.gate.panels[at]));
    let cases = [rules_that_change(&old), panels_that_change(&old, &second)];
    for (what, panel, strangers, theirs) in cases.concat() {
        let panels = vec![Arc::new(panel)];
        let gate = Gate::new(
            ExternalUrl::of("https://panel.example"),
            panels,
            porch.sessions.clone(),
        );
        assert_eq!(gate.still_allows(&stranger, begun), strangers, "{what}");
        assert_eq!(gate.still_allows(&page, begun), theirs, "{what}");
    }
}
