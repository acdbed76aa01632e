//! Whether the credential of an act is still good, asked in the transaction of the change.
//!
//! Between the head of a request and its change there is a body to be read, a password to be hashed, a
//! turn to be waited for. Whatever ended in that time ends the act, too (promise 2). Changes take
//! turns, so a credential that was ended by an earlier one is not found here.

use super::change::Managed;
use super::engine::Engine;
use super::statement::{On, sql};
use super::{Store, StoreError, Work, failed};
use crate::clock::Timestamp;
use crate::config::SessionLimits;
use crate::model::{Actor, Credential, Generation, Role, Scope, TokenHash, UserId};

const DOING: &str = "admitting a change";

/// Where it is asked.
enum At<'a> {
    /// In the transaction of the change: what decides.
    Change(&'a mut Work),
    /// Before it, where an answer is a hint.
    Now(&'a Engine),
}

impl At<'_> {
    fn on(&mut self) -> On<'_> {
        match self {
            Self::Change(work) => (&mut **work).into(),
            Self::Now(engine) => (*engine).into(),
        }
    }
}

impl Store {
    /// Whether an act would be admitted now, for one that is to cost much before its change is written:
    /// the change itself asks again.
    ///
    /// # Errors
    /// As [`Store::commit`] would be refused.
    pub async fn would_admit(&self, actor: &Actor, managed: Managed) -> Result<(), StoreError> {
        self.admit_at(&mut At::Now(&self.engine), actor, managed)
            .await
    }

    /// Admits an act by the credential that it was begun with.
    pub(super) async fn admit(
        &self,
        work: &mut Work,
        actor: &Actor,
        managed: Managed,
    ) -> Result<(), StoreError> {
        self.admit_at(&mut At::Change(work), actor, managed).await
    }

    async fn admit_at(
        &self,
        at: &mut At<'_>,
        actor: &Actor,
        managed: Managed,
    ) -> Result<(), StoreError> {
        match actor {
            Actor::User { credential, .. } => match credential {
                Credential::Session { token, last_seen } => {
                    self.admit_session(at, *token, *last_seen).await
                }
                Credential::PendingSignIn { cookie } => self.admit_sign_in(at, cookie).await,
                Credential::Password { user, generation } => {
                    admit_password(at, *user, *generation).await
                }
                Credential::SetupLink { hash } => self.admit_link(at, hash).await,
            },
            Actor::Token { hash, scope, .. } => self.admit_token(at, hash, *scope, managed).await,
            // The kernel says who is at the socket, and that does not end; for the gateway itself there
            // is no one to ask.
            Actor::Operator { .. } | Actor::Gateway => Ok(()),
        }
    }

    /// A session has to be there, of its user's generation, within its limits, and with the second
    /// factor that is asked for.
    async fn admit_session(
        &self,
        at: &mut At<'_>,
        token: TokenHash,
        last_seen: Timestamp,
    ) -> Result<(), StoreError> {
        type Row = (i64, i64, Option<String>, String, Option<i64>);
        let found: Option<Row> = sql(
            "SELECT sessions.created, last_seen, second_factor, role, good_until
             FROM sessions JOIN users ON users.id = user_id
                 AND users.generation = sessions.generation AND NOT disabled
             WHERE token = $1",
        )
        .bind(token.0.as_slice())
        .maybe(at.on())
        .await
        .map_err(failed(DOING))?;
        let (created, seen, second_factor, role, good_until) =
            found.ok_or(StoreError::ActorEnded)?;
        let terms = self.terms.as_ref().map(|live| live.now());
        let limits = terms
            .as_ref()
            .map_or_else(SessionLimits::default, |terms| terms.session);
        let now = self.clock.now();
        let seen = Timestamp::from_millis(seen).max(last_seen);
        let is_over = now >= Timestamp::from_millis(created).plus(limits.lifetime)
            || now >= seen.plus(limits.idle_timeout)
            || good_until.is_some_and(|until| now >= Timestamp::from_millis(until));
        let needs_factor = terms.is_some_and(|terms| {
            // A role that can't be read is none that needs less.
            role.parse::<Role>()
                .map_or(true, |role| terms.second_factor.required_for(role))
        });
        match is_over || (needs_factor && second_factor.is_none()) {
            true => Err(StoreError::ActorEnded),
            false => Ok(()),
        }
    }

    async fn admit_sign_in(&self, at: &mut At<'_>, cookie: &[u8; 32]) -> Result<(), StoreError> {
        let found: Option<(i64,)> = sql("SELECT ends FROM sign_ins JOIN users ON id = user_id
                 AND users.generation = sign_ins.generation AND NOT disabled
             WHERE cookie = $1 AND ends > $2")
        .bind(cookie.as_slice())
        .bind(self.clock.now().millis())
        .maybe(at.on())
        .await
        .map_err(failed(DOING))?;
        found.map(drop).ok_or(StoreError::SignInOver)
    }

    async fn admit_link(&self, at: &mut At<'_>, hash: &[u8; 32]) -> Result<(), StoreError> {
        let found: Option<(i64,)> = sql("SELECT expires FROM setup_links
             JOIN users ON id = user_id AND users.generation = setup_links.generation AND NOT disabled
             WHERE hash = $1 AND expires > $2")
        .bind(hash.as_slice())
        .bind(self.clock.now().millis())
        .maybe(at.on())
        .await
        .map_err(failed(DOING))?;
        found.map(drop).ok_or(StoreError::LinkSpent)
    }

    /// A token that was rotated is good under its former secret for a while.
    async fn admit_token(
        &self,
        at: &mut At<'_>,
        hash: &[u8; 32],
        scope: Scope,
        managed: Managed,
    ) -> Result<(), StoreError> {
        let found: Option<(String,)> = sql("SELECT scopes FROM tokens
             WHERE (hash = $1 AND (expires IS NULL OR expires > $2))
                 OR (former_hash = $1 AND former_ends > $2)")
        .bind(hash.as_slice())
        .bind(self.clock.now().millis())
        .maybe(at.on())
        .await
        .map_err(failed(DOING))?;
        let (scopes,) = found.ok_or(StoreError::TokenEnded)?;
        let holds = |scope: Scope| scopes.split(' ').any(|held| held == scope.as_str());
        if !holds(scope) {
            return Err(StoreError::TokenEnded);
        }
        match holds(Scope::Administrators) || !is_of_administrators(at, managed).await? {
            true => Ok(()),
            false => Err(StoreError::NeedsScope(Scope::Administrators)),
        }
    }
}

/// Whether a change is about an administrator, or makes one.
async fn is_of_administrators(at: &mut At<'_>, managed: Managed) -> Result<bool, StoreError> {
    if managed.role == Some(Role::Administrator) {
        return Ok(true);
    }
    let Some(user) = managed.user else {
        return Ok(false);
    };
    let found: Option<(String,)> = sql("SELECT role FROM users WHERE id = $1")
        .bind(user.0)
        .maybe(at.on())
        .await
        .map_err(failed(DOING))?;
    Ok(found.is_some_and(|(role,)| role == Role::Administrator.as_str()))
}

async fn admit_password(
    at: &mut At<'_>,
    user: UserId,
    generation: Generation,
) -> Result<(), StoreError> {
    let found: Option<(i64,)> = sql("SELECT id FROM users
         WHERE id = $1 AND generation = $2 AND NOT disabled AND password IS NOT NULL")
    .bind(user.0)
    .bind(generation.number())
    .maybe(at.on())
    .await
    .map_err(failed(DOING))?;
    found.map(drop).ok_or(StoreError::Stale)
}
