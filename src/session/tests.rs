//! The table and the cut, without a store.

use std::sync::Arc;
use std::time::Duration;

use super::{CutReason, Ended, Exchange, Session, Sessions, Token};
use crate::cancel::Cancel;
use crate::clock::{Clock, Hand, Timestamp};
use crate::config::SessionLimits;
use crate::model::{
    EndReason, EndedSession, Generation, Role, SessionId, SessionRecord, User, UserId, UserName,
};

const LIMITS: SessionLimits = SessionLimits {
    idle_timeout: Duration::from_secs(60),
    lifetime: Duration::from_secs(300),
    max_per_user: 10,
};

fn table() -> (Sessions, Clock, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    (Sessions::new(LIMITS, clock.clone()), clock, hand)
}

fn sign_in(sessions: &Sessions, clock: &Clock, user: i64, generation: i64) -> Option<Arc<Session>> {
    let generation = Generation::from_stored(generation);
    let record = SessionRecord {
        token: Token::random().hash(),
        id: SessionId::random(),
        user: UserId(user),
        generation,
        created: clock.now(),
        last_seen: clock.now(),
        address: "192.0.2.1".parse().unwrap(),
        device: "curl".to_owned(),
        second_factor: None,
        good_until: None,
    };
    let user = User {
        id: UserId(user),
        name: UserName::parse("ada").unwrap(),
        role: Role::Operator,
        email: None,
        disabled: false,
        generation,
    };
    sessions.admit(&record, user)
}

#[test]
fn idle_and_age_end_a_session_to_the_millisecond() {
    let (sessions, clock, hand) = table();
    let session = sign_in(&sessions, &clock, 1, 1).unwrap();
    let found = || sessions.find(&session.token_hash(), clock.now()).map(drop);
    hand.advance(Duration::from_millis(59_999));
    assert_eq!(found(), Ok(()));
    session.touch(clock.now());
    hand.advance(Duration::from_secs(60));
    assert_eq!(found(), Err(Ended::Idle));
    for _ in 0..5 {
        session.touch(clock.now());
        hand.advance(Duration::from_secs(59));
    }
    assert_eq!(found(), Err(Ended::Expired));
}

#[test]
fn raising_the_generation_ends_older_sessions_of_that_user_only() {
    let (sessions, clock, _hand) = table();
    let ada = sign_in(&sessions, &clock, 1, 1).unwrap();
    let bob = sign_in(&sessions, &clock, 2, 1).unwrap();
    let ended = sessions.raise(UserId(1), Generation::from_stored(2));
    assert_eq!(ended.len(), 1);
    assert_eq!(
        sessions.find(&ada.token_hash(), clock.now()).map(drop),
        Err(Ended::Revoked)
    );
    assert_eq!(ada.check(clock.now(), &LIMITS), Err(Ended::Revoked));
    assert!(sessions.find(&bob.token_hash(), clock.now()).is_ok());
    assert!(
        sessions
            .raise(UserId(1), Generation::from_stored(2))
            .is_empty()
    );
}

#[test]
fn a_sign_in_that_was_under_way_is_not_admitted() {
    let (sessions, clock, _hand) = table();
    sessions.raise(UserId(1), Generation::from_stored(2));
    assert!(sign_in(&sessions, &clock, 1, 1).is_none());
    assert!(sign_in(&sessions, &clock, 1, 2).is_some());
    assert_eq!(sessions.count(), 1);
}

#[tokio::test]
async fn a_cut_ends_what_is_open_and_lets_nothing_more_begin() {
    let (sessions, clock, _hand) = table();
    let session = sign_in(&sessions, &clock, 1, 1).unwrap();
    let closer = Cancel::new();
    let polite = Exchange::of(session.clone(), closer.clone()).unwrap();
    let stuck = Exchange::of(session.clone(), closer.clone()).unwrap();
    let ended = sessions.raise(UserId(1), Generation::from_stored(2));
    assert!(Exchange::of(session.clone(), closer.clone()).is_err());
    let ends_by_cut = async move { polite.until_cut(std::future::pending::<()>()).await };
    let ends_by_drop = async move {
        closer.cancelled().await;
        drop(stuck);
    };
    let (closed, cut, ()) = tokio::join!(sessions.cut(&ended), ends_by_cut, ends_by_drop);
    assert_eq!((closed, cut), (2, Err(CutReason::SessionEnded)));
}

/// The process was stopped: its clock has moved on, and no task of it has run.
#[tokio::test]
async fn whoever_carries_knows_without_being_told_that_the_lease_is_over() {
    let start = Timestamp::from_millis(1_700_000_000_000);
    let (clock, hand) = Clock::manual(start);
    let sessions = Sessions::shared(LIMITS, clock.clone());
    sessions.trust_until(start.plus(Duration::from_secs(2)));
    let session = sign_in(&sessions, &clock, 1, 1).unwrap();
    let exchange = Exchange::of(session.clone(), Cancel::new()).unwrap();
    let late = Exchange::of(session.clone(), Cancel::new()).unwrap();
    assert_eq!(exchange.guard().may_carry(), Ok(()));
    hand.advance(Duration::from_secs(2));
    assert_eq!(exchange.guard().may_carry(), Err(CutReason::CannotBeTold));
    let begun = Exchange::of(session.clone(), Cancel::new()).map(drop);
    assert_eq!(begun, Err(CutReason::CannotBeTold));
    // The node hears again that nothing of hers was ended: what broke off stays broken off.
    sessions.trust_until(clock.now().plus(Duration::from_secs(2)));
    let waited = exchange.until_cut(std::future::pending::<()>()).await;
    assert_eq!(waited, Err(CutReason::CannotBeTold));
    assert_eq!(late.guard().may_carry(), Ok(()));
    // And what was ended before any of it was cut carries nothing either.
    sessions.raise(UserId(1), Generation::from_stored(2));
    assert_eq!(late.guard().may_carry(), Err(CutReason::SessionEnded));
}

#[tokio::test]
async fn a_cut_says_why() {
    let start = Timestamp::from_millis(1_700_000_000_000);
    let (clock, hand) = Clock::manual(start);
    let sessions = Sessions::shared(LIMITS, clock.clone());
    sessions.trust_until(start.plus(Duration::from_secs(2)));
    let session = sign_in(&sessions, &clock, 1, 1).unwrap();
    let exchange = Exchange::of(session, Cancel::new()).unwrap();
    hand.advance(Duration::from_secs(2));
    let why = async move { exchange.until_cut(std::future::pending::<()>()).await };
    let (cut, why) = tokio::join!(sessions.cut_what_is_untold(), why);
    assert_eq!((cut, why), (Some(1), Err(CutReason::CannotBeTold)));

    sessions.trust_until(clock.now().plus(Duration::from_secs(2)));
    let session = sign_in(&sessions, &clock, 2, 1).unwrap();
    let exchange = Exchange::of(session, Cancel::new()).unwrap();
    let forgotten = sessions.forget_all(CutReason::CannotBeTold);
    assert_eq!(exchange.guard().may_carry(), Err(CutReason::CannotBeTold));
    assert_eq!(forgotten.len(), 2);
}

#[tokio::test]
async fn what_does_not_end_is_not_counted_as_ended() {
    let (sessions, clock, _hand) = table();
    let session = sign_in(&sessions, &clock, 1, 1).unwrap();
    let _stuck = Exchange::of(session.clone(), Cancel::new()).unwrap();
    let begun = tokio::time::Instant::now();
    let ended: Vec<_> = sessions.remove(&session.token_hash()).into_iter().collect();
    assert_eq!(sessions.cut(&ended).await, 0);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn many_threads_cannot_slip_past_a_revocation() {
    let (sessions, clock, _hand) = table();
    for round in 1..500 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (sessions, clock) = (sessions.clone(), clock.clone());
                std::thread::spawn(move || sign_in(&sessions, &clock, 1, round))
            })
            .collect();
        sessions.raise(UserId(1), Generation::from_stored(round + 1));
        for thread in threads {
            if let Some(session) = thread.join().unwrap() {
                assert!(session.check(clock.now(), &LIMITS).is_err());
                assert!(Exchange::of(session, Cancel::new()).is_err());
            }
        }
        assert_eq!(sessions.count(), 0);
    }
}

#[test]
fn a_factor_that_is_needed_now_was_needed_by_every_session() {
    let (sessions, clock, _) = table();
    let ada = sign_in(&sessions, &clock, 1, 1).unwrap();
    let text = "[[panel]]\nupstream = \"http://127.0.0.1:1\"";
    let asking = crate::config::Config::parse(text, "p.toml".as_ref()).unwrap();
    sessions.hold_to(LIMITS, &asking.second_factor);
    let found = sessions.find(&ada.token_hash(), clock.now());
    assert_eq!(found.err(), Some(Ended::Revoked));
    let (over, has_more) = swept(&sessions, &clock, 2);
    assert_eq!((over.len(), has_more), (1, false));
}

#[test]
fn what_has_run_out_is_swept_however_often_it_was_used() {
    let (sessions, clock, hand) = table();
    let used = sign_in(&sessions, &clock, 1, 1).unwrap();
    let left = sign_in(&sessions, &clock, 2, 1).unwrap();
    let swept = || {
        let (over, has_more) = swept(&sessions, &clock, 10);
        assert!(!has_more);
        over.iter().map(|over| over.user().id.0).collect::<Vec<_>>()
    };
    hand.advance(Duration::from_secs(59));
    used.touch(clock.now());
    assert_eq!(swept(), [0_i64; 0]);
    hand.advance(Duration::from_secs(1));
    assert_eq!(swept(), [2]);
    assert!(left.check(clock.now(), &LIMITS).is_err());
    hand.advance(Duration::from_secs(58));
    assert_eq!(swept(), [0_i64; 0]);
    hand.advance(Duration::from_secs(2));
    assert_eq!(swept(), [1]);
    assert_eq!(sessions.count(), 0);
}

#[test]
fn shorter_terms_hold_for_sessions_that_are_there() {
    let (sessions, clock, hand) = table();
    let _session = sign_in(&sessions, &clock, 1, 1).unwrap();
    hand.advance(Duration::from_secs(10));
    assert_eq!(swept(&sessions, &clock, 10).0.len(), 0);
    let shorter = SessionLimits {
        idle_timeout: Duration::from_secs(5),
        ..LIMITS
    };
    let text = "second_factor.required = false\n[[panel]]\nupstream = \"http://127.0.0.1:1\"";
    let config = crate::config::Config::parse(text, "p.toml".as_ref()).unwrap();
    sessions.hold_to(shorter, &config.second_factor);
    assert_eq!(swept(&sessions, &clock, 10).0.len(), 1);
}

#[test]
fn a_session_that_is_used_is_written_once() {
    let (sessions, clock, _) = table();
    let session = sign_in(&sessions, &clock, 1, 1).unwrap();
    (0..3).for_each(|_| session.touch(clock.now()));
    assert_eq!(sessions.take_seen().len(), 1);
    assert_eq!(sessions.take_seen().len(), 0);
    session.touch(clock.now());
    assert_eq!(sessions.take_seen().len(), 1);
}

/// Why each session that ran out is over, by the public name.
fn told(sessions: &Sessions, clock: &Clock) -> Vec<Option<EndedSession>> {
    let (due, _) = sessions.due(clock.now(), 10);
    let over = due.iter();
    over.filter_map(|session| sessions.remove_if_over(session, clock.now()))
        .map(|(_, why)| why)
        .collect()
}

fn ended(reason: EndReason, at: Timestamp) -> Vec<Option<EndedSession>> {
    vec![Some(EndedSession { reason, at })]
}

/// Limits, and whether operators need a second factor.
fn hold_to(sessions: &Sessions, limits: SessionLimits, is_needed: bool) {
    let text = format!(
        "second_factor.required = {is_needed}\n[[panel]]\nupstream = \"http://127.0.0.1:1\""
    );
    let config = crate::config::Config::parse(&text, "p.toml".as_ref()).unwrap();
    sessions.hold_to(limits, &config.second_factor);
}

#[test]
fn why_a_session_ran_out_is_known_with_the_moment() {
    let (sessions, clock, hand) = table();
    let begun = clock.now();
    sign_in(&sessions, &clock, 1, 1).unwrap();
    hand.advance(Duration::from_secs(90));
    let idle = begun.plus(LIMITS.idle_timeout);
    assert_eq!(told(&sessions, &clock), ended(EndReason::Idle, idle));

    let begun = clock.now();
    let used = sign_in(&sessions, &clock, 1, 1).unwrap();
    for _ in 0..6 {
        hand.advance(Duration::from_secs(50));
        used.touch(clock.now());
    }
    let old = begun.plus(LIMITS.lifetime);
    assert_eq!(told(&sessions, &clock), ended(EndReason::Lifetime, old));

    let replaced = sign_in(&sessions, &clock, 1, 1).unwrap();
    let until = clock.now().plus(Duration::from_secs(10));
    sessions.end_by(&replaced.token_hash(), until);
    hand.advance(Duration::from_secs(11));
    assert_eq!(told(&sessions, &clock), ended(EndReason::Replaced, until));
}

#[test]
fn shorter_limits_are_the_reason_only_of_what_they_end() {
    let shorter = SessionLimits {
        idle_timeout: Duration::from_secs(20),
        ..LIMITS
    };
    let (sessions, clock, hand) = table();
    hold_to(&sessions, LIMITS, false);
    sign_in(&sessions, &clock, 1, 1).unwrap();
    hand.advance(Duration::from_secs(30));
    let reloaded = clock.now();
    hold_to(&sessions, shorter, false);
    // Later reloads that change nothing of it do not forget it.
    hand.advance(Duration::from_secs(1));
    hold_to(&sessions, shorter, false);
    let why = told(&sessions, &clock);
    assert_eq!(why, ended(EndReason::ShorterLimits, reloaded));

    let begun = clock.now();
    sign_in(&sessions, &clock, 1, 1).unwrap();
    hand.advance(Duration::from_secs(25));
    let idle = begun.plus(shorter.idle_timeout);
    assert_eq!(told(&sessions, &clock), ended(EndReason::Idle, idle));

    // It had run out before they came.
    let begun = clock.now();
    sign_in(&sessions, &clock, 1, 1).unwrap();
    hand.advance(Duration::from_secs(120));
    let least = SessionLimits {
        idle_timeout: Duration::from_secs(10),
        ..LIMITS
    };
    hold_to(&sessions, least, false);
    let idle = begun.plus(least.idle_timeout);
    assert_eq!(told(&sessions, &clock), ended(EndReason::Idle, idle));
}

#[test]
fn a_factor_that_is_needed_now_is_a_reason_and_what_somebody_ended_is_none() {
    let (sessions, clock, _) = table();
    hold_to(&sessions, LIMITS, false);
    sign_in(&sessions, &clock, 1, 1).unwrap();
    hold_to(&sessions, LIMITS, true);
    let now = clock.now();
    assert_eq!(told(&sessions, &clock), ended(EndReason::SecondFactor, now));

    hold_to(&sessions, LIMITS, false);
    let closed = sign_in(&sessions, &clock, 1, 1).unwrap();
    closed.close(CutReason::SessionEnded);
    hold_to(&sessions, LIMITS, false);
    assert_eq!(told(&sessions, &clock), [None]);
}

/// What ran out of the first `most` that may have, and whether there are more.
fn swept(sessions: &Sessions, clock: &Clock, most: usize) -> (Vec<Arc<Session>>, bool) {
    let (due, has_more) = sessions.due(clock.now(), most);
    let over = due
        .iter()
        .filter_map(|session| sessions.remove_if_over(session, clock.now()));
    (over.map(|(session, _)| session).collect(), has_more)
}
