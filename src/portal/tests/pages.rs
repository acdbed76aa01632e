//! Every page, drawn with the worst that people and browsers can say.

use http::StatusCode;

use super::super::view::{Complaint, account, audit, enrol, problem, sign_in, user, users};
use crate::clock::Timestamp;
use crate::model::Role;
use crate::store::AuditEntry;
use crate::wire::Problem;

const EVIL: &str = "\"><svg onload=alert(1)>&'";

fn sign_in_pages(complaint: Option<Complaint<'_>>) -> Vec<(&'static str, String)> {
    let setup = sign_in::setup(&sign_in::Setup {
        csrf: EVIL,
        user: EVIL,
        min_length: 12,
        complaint,
    });
    let login = sign_in::login(&sign_in::Login {
        csrf: EVIL,
        next: EVIL,
        panel: Some(EVIL),
        host: EVIL,
        user: EVIL,
        notice: Some(EVIL),
        complaint,
    });
    let second_factor = sign_in::second_factor(&sign_in::SecondFactor {
        csrf: EVIL,
        next: EVIL,
        user: EVIL,
        login: EVIL,
        tries_recovery: false,
        complaint,
    });
    vec![
        ("setup", setup.into_string()),
        ("login", login.into_string()),
        ("second factor", second_factor.into_string()),
    ]
}

fn signed_in_pages(complaint: Option<Complaint<'_>>) -> Vec<(&'static str, String)> {
    let enrol = enrol::enrol(&enrol::Enrol {
        csrf: EVIL,
        next: EVIL,
        user: EVIL,
        secret: EVIL,
        qr_svg: "<svg></svg>",
        minutes: 30,
        is_another: true,
        complaint,
    });
    let codes = enrol::recovery_codes(&enrol::RecoveryCodes {
        codes: &[EVIL.to_owned(), "second".to_owned()],
        next: EVIL,
    });
    let account = account::account(&account::Account {
        csrf: EVIL,
        user: EVIL,
        role: EVIL,
        administers: true,
        email: Some(EVIL),
        sessions: &[account::SessionRow {
            id: EVIL.to_owned(),
            device: EVIL,
            address: EVIL.to_owned(),
            created: Timestamp::from_millis(0),
            last_seen: Timestamp::from_millis(0),
            is_this: true,
        }],
        factor: account::Factor::App { recovery_codes: 9 },
        min_length: 12,
        now: Timestamp::from_millis(60_000),
        notice: Some(EVIL),
        complaint,
    });
    vec![
        ("enrol", enrol.into_string()),
        ("recovery codes", codes.into_string()),
        ("account", account.into_string()),
    ]
}

fn administrators_pages(complaint: Option<Complaint<'_>>) -> Vec<(&'static str, String)> {
    let users = users::users(&users::Users {
        csrf: EVIL,
        me: EVIL,
        search: EVIL,
        all: 2,
        rows: &[users::Row {
            name: EVIL,
            path: "/.portcullis/users/a".to_owned(),
            role: EVIL,
            email: Some(EVIL),
            disabled: true,
            locked: true,
            has_factor: true,
            sessions: 1,
        }],
        user: EVIL,
        email: EVIL,
        notice: Some(EVIL),
        complaint,
    });
    let audit = audit::audit(&audit::Audit {
        csrf: EVIL,
        me: EVIL,
        entries: &[AuditEntry {
            seq: 1,
            at: Timestamp::from_millis(0),
            actor: EVIL.to_owned(),
            action: EVIL.to_owned(),
            subject: Some(EVIL.to_owned()),
            detail: EVIL.to_owned(),
            request: Some(EVIL.to_owned()),
        }],
        is_newest: false,
        older: Some(1),
        now: Timestamp::from_millis(60_000),
    });
    vec![
        ("users", users.into_string()),
        ("user", user_page(false, complaint)),
        ("oneself", user_page(true, complaint)),
        ("audit", audit.into_string()),
    ]
}

fn user_page(is_me: bool, complaint: Option<Complaint<'_>>) -> String {
    let sessions = [user::SessionRow {
        device: EVIL,
        address: EVIL.to_owned(),
        last_seen: Timestamp::from_millis(0),
        connections: 1,
    }];
    let user = user::User {
        csrf: EVIL,
        me: EVIL,
        name: EVIL,
        path: "/.portcullis/users/a",
        role: Role::Manager,
        email: Some(EVIL),
        disabled: true,
        locked: true,
        is_me,
        has_password: true,
        has_factor: true,
        sessions: &sessions,
        place: "",
        min_length: 12,
        history: 10,
        now: Timestamp::from_millis(60_000),
        notice: Some(EVIL),
        setup_url: Some(EVIL),
        suggestion: Some(EVIL),
        complaint,
    };
    user::user(&user).into_string()
}

fn pages() -> Vec<(&'static str, String)> {
    let complaint = Some(Complaint {
        field: Some("password"),
        text: EVIL,
    });
    let fault = Problem::new(StatusCode::BAD_GATEWAY, "no answer")
        .detail(EVIL)
        .referenced();
    let mut pages = vec![("problem", problem::problem(&fault).into_string())];
    for complaint in [None, complaint] {
        pages.extend(sign_in_pages(complaint));
        pages.extend(signed_in_pages(complaint));
        pages.extend(administrators_pages(complaint));
    }
    pages
}

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    page.split(&format!(" {attribute}=\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn no_text_becomes_markup() {
    for (name, page) in pages() {
        assert!(!page.contains("<svg onload"), "{name}: {page}");
        assert!(!page.contains("<script"), "{name}");
        assert!(!page.contains(" style="), "{name}");
    }
}

#[test]
fn every_page_can_be_found_ones_way_in() {
    for (name, page) in pages() {
        assert!(
            page.starts_with("<!DOCTYPE html><html lang=\"en\">"),
            "{name}"
        );
        for part in ["<title>", "</h1>", "<main>", "name=\"viewport\""] {
            assert_eq!(page.matches(part).count(), 1, "{name}: {part}");
        }
        let ids = values(&page, "id");
        for id in &ids {
            assert_eq!(
                ids.iter().filter(|other| *other == id).count(),
                1,
                "{name}: {id}"
            );
        }
        for described in values(&page, "aria-describedby") {
            for id in described.split(' ') {
                assert!(ids.contains(&id), "{name}: {id}");
            }
        }
        let labels = values(&page, "for");
        assert!(labels.iter().all(|label| ids.contains(label)), "{name}");
        let tags = page.split('<').filter_map(|rest| rest.split('>').next());
        let fields = tags.filter(|tag| tag.starts_with("input") || tag.starts_with("select"));
        for field in fields.filter(|field| !field.contains("hidden")) {
            let id = values(field, "id");
            assert!(labels.contains(&id[0]), "{name}: {field} has no label");
        }
        assert!(page.matches(" autofocus").count() <= 1, "{name}");
    }
}

#[test]
fn every_form_carries_the_hidden_field() {
    for (name, page) in pages() {
        // A search changes nothing, and stands in the address.
        let searches = page.matches("method=\"get\"").count();
        let forms = page.matches("<form").count() - searches;
        assert_eq!(page.matches("method=\"post\"").count(), forms, "{name}");
        assert_eq!(page.matches("name=\"csrf\"").count(), forms, "{name}");
    }
}

#[test]
fn complaints_are_tied_to_their_field() {
    let complaint = Complaint {
        field: Some("password"),
        text: "too short",
    };
    for (name, page) in sign_in_pages(Some(complaint)) {
        assert!(page.contains("<p role=\"alert\" class=\"alert\" id=\"alert\">too short</p>"));
        let is_tied = page.contains("aria-invalid=\"true\" aria-describedby=\"alert");
        assert_eq!(is_tied, name != "second factor", "{name}");
    }
}

#[test]
fn the_names_of_the_contract_are_there() {
    let pages: String = pages().into_iter().map(|(_, page)| page).collect();
    for part in [
        "id=\"totp-secret\"",
        "class=\"recovery-code\"",
        "name=\"user\"",
        "name=\"password\"",
        "name=\"password_again\"",
        "name=\"next\"",
        "name=\"code\"",
        "name=\"current_password\"",
        "name=\"new_password\"",
        "name=\"new_password_again\"",
        "Log out of all devices",
        "action=\"/.portcullis/logout\"",
        "action=\"/.portcullis/account/password\"",
        "action=\"/.portcullis/account/logout-all\"",
    ] {
        assert!(pages.contains(part), "{part}");
    }
}
