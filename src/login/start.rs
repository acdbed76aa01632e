//! The last step: a session for somebody who has shown everything that is asked.
//!
//! The code that was shown is spent, a first factor is enrolled, and the session is kept in one
//! transaction, under the generation at which the password was checked: all of it or nothing.

use super::{Login, NewSession, Origin, SignInError, moved_on};
use crate::model::{Action, Actor, Credential, Event, FactorKind, SessionId, SessionRecord, User};
use crate::secret::sha256;
use crate::session::{Session, Token};
use crate::store::change::{Proof, StartSession};

/// Somebody who has shown everything that is asked of this user.
pub(super) struct SignedIn<'a> {
    pub(super) user: User,
    pub(super) proof: Option<(FactorKind, Proof)>,
    /// The cookie of the sign-in that was under way and ends with this.
    pub(super) pending: Option<&'a str>,
}

impl SignedIn<'_> {
    /// As somebody who acts: by the sign-in that was under way, or by the password alone.
    fn actor(&self, from: &Origin) -> Actor {
        let credential = match self.pending {
            Some(cookie) => Credential::PendingSignIn {
                cookie: sha256(cookie),
            },
            None => Credential::Password {
                user: self.user.id,
                generation: self.user.generation,
            },
        };
        Actor::User {
            name: self.user.name.clone(),
            address: from.address.address(),
            credential,
        }
    }
}

impl Login {
    pub(super) async fn start(
        &self,
        who: SignedIn<'_>,
        from: &Origin,
    ) -> Result<NewSession, SignInError> {
        let (token, user, now) = (Token::random(), who.user.clone(), self.0.clock.now());
        let record = SessionRecord {
            token: token.hash(),
            id: SessionId::random(),
            user: user.id,
            generation: user.generation,
            created: now,
            last_seen: now,
            address: from.address.address(),
            device: from.device.clone(),
            second_factor: who.proof.as_ref().map(|(kind, _)| *kind),
            good_until: None,
        };
        let actor = who.actor(from);
        let told = |(_, proof): (FactorKind, Proof)| {
            let event = Event::about(actor.clone(), action_of(&proof), &user.name);
            (proof, event)
        };
        let start = StartSession {
            record: record.clone(),
            max_per_user: self.0.sessions.limits().max_per_user,
            replaces: from.replaces,
            sign_in: who.pending.map(sha256),
            proof: who.proof.map(told),
        };
        let event = Event::about(actor.clone(), Action::SessionStarted, &user.name)
            .detail(from.device.clone());
        // Where several nodes begin sessions, the feed keeps the order.
        let turn = match self.0.cluster.is_alone() {
            true => Some(self.0.starting.lock().await),
            false => None,
        };
        let admitted = self.0.store.commit(start, event).await.map_err(moved_on)?;
        self.has_signed_in(&user);
        let ended: Vec<_> = admitted
            .outcome()
            .ended
            .iter()
            .filter_map(|token| self.0.sessions.remove(token))
            .collect();
        for (token, until) in &admitted.outcome().replaced {
            self.0.sessions.end_by(token, *until);
        }
        let session = match self.0.cluster.is_alone() {
            true => self.0.sessions.admit(&record, user),
            // In the order of the feed, or it could enter the table after it was ended elsewhere.
            false => self.0.cluster.session(record.token).await?,
        };
        drop(turn);
        self.0.sessions.cut(&ended).await;
        let session = session.ok_or(SignInError::Expired)?;
        if self.lacks_a_factor(&session) {
            // Nobody has its token.
            self.0.sessions.remove(&session.token_hash());
            return Err(SignInError::Expired);
        }
        Ok(NewSession {
            device: self.0.devices.cookie(session.user(), &from.shown.host, now),
            token,
            session,
        })
    }

    /// The configuration may have begun to ask for a second factor since the password was checked, and
    /// the search for sessions without one may have been over before this one was there.
    fn lacks_a_factor(&self, session: &Session) -> bool {
        let second_factor = &self.0.config.now().second_factor;
        session.second_factor().is_none() && second_factor.required_for(session.user().role)
    }
}

fn action_of(proof: &Proof) -> Action {
    match proof {
        Proof::TotpStep(_) => Action::TotpUsed,
        Proof::RecoveryCode(_) => Action::RecoveryCodeUsed,
        Proof::Enrolment { .. } => Action::SecondFactorEnrolled,
    }
}
