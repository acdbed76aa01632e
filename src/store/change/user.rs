//! Changes of users: added, links, passwords, generations.

use super::{Change, Desk, Managed};
use crate::clock::Timestamp;
use crate::model::{Generation, Role, User, UserId, UserName};
use crate::secret::Secret;
use crate::store::NameTag;
use crate::store::feed::Subject;
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Adds a user with a way in. Outcome: the user. [`StoreError::NameTaken`] if the name exists.
#[derive(Debug)]
pub struct AddUser {
    pub name: UserName,
    pub role: Role,
    pub email: Option<String>,
    pub way_in: WayIn,
}

/// How somebody who was just added gets in.
#[derive(Debug)]
pub enum WayIn {
    /// By a one-time link: SHA-256 of its token, and when it ends.
    Link { hash: [u8; 32], expires: Timestamp },
    /// By a password: Argon2id, as a PHC string. There are no sessions yet that it could end.
    Password(Secret<String>),
}

/// Adds a one-time link; an older one of the same user is dead from then on, and this one with the
/// next that the user's generation is raised. Failed sign-ins are forgotten. [`StoreError::NoSuchUser`].
#[derive(Debug)]
pub struct AddSetupLink {
    pub user: UserId,
    /// SHA-256 of the link's token.
    pub hash: [u8; 32],
    pub expires: Timestamp,
}

/// Sets a password, raises the generation and forgets the user's sessions, links and failed sign-ins.
#[derive(Debug)]
pub struct SetPassword {
    pub user: UserId,
    /// How many passwords before this one are remembered; `None` when it is the current one that is set
    /// again, which is none before it.
    pub remembered: Option<usize>,
    /// Argon2id, as a PHC string.
    pub phc: Secret<String>,
    /// The hash of a one-time link that must be alive and is spent by this:
    /// [`StoreError::LinkSpent`] otherwise.
    pub link: Option<[u8; 32]>,
    /// The generation at which the old password was checked, where it was: [`StoreError::Stale`] if
    /// it has moved on, or a change under way would undo one that came in between.
    pub as_of: Option<Generation>,
}

/// Raises a user's generation and forgets the user's sessions. [`StoreError::NoSuchUser`].
#[derive(Debug)]
pub struct RaiseGeneration {
    pub user: UserId,
}

/// Raises everybody's generation and forgets all sessions.
#[derive(Debug)]
pub struct RaiseEveryGeneration;

/// The generations that hold from now on: sessions of older ones are dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    pub users: Vec<(UserId, Generation)>,
    /// How many sessions were kept of them.
    pub sessions: u64,
}

/// Replaces the hash of an unchanged password by one of today's cost. [`StoreError::Stale`] if the
/// user's generation has moved on.
#[derive(Debug)]
pub struct RehashPassword {
    pub user: UserId,
    pub generation: Generation,
    pub phc: Secret<String>,
}

impl Change for AddUser {
    type Outcome = User;

    fn manages(&self) -> Managed {
        Managed {
            user: None,
            role: Some(self.role),
        }
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<User, StoreError> {
        let phc = match &self.way_in {
            WayIn::Password(phc) => Some(phc.expose().as_str()),
            WayIn::Link { .. } => None,
        };
        let added: Option<(i64, i64)> = sql(
            "INSERT INTO users (name, role, email, password, created, guess_key)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (name) DO NOTHING RETURNING id, generation",
        )
        .bind(self.name.as_str())
        .bind(self.role.as_str())
        .bind(self.email.as_deref())
        .bind(phc)
        .bind(desk.now.millis())
        .bind(NameTag::of(desk.seal, self.name.as_str()).key())
        .maybe(desk.connection())
        .await
        .map_err(failed("adding a user"))?;
        let (id, generation) = added.ok_or(StoreError::NameTaken)?;
        let user = User {
            id: UserId(id),
            name: self.name,
            role: self.role,
            email: self.email,
            disabled: false,
            generation: Generation::from_stored(generation),
        };
        // What was tried with the name before it was somebody's.
        desk.forget_failures(user.id).await?;
        if let WayIn::Link { hash, expires } = self.way_in {
            let link = AddSetupLink {
                user: user.id,
                hash,
                expires,
            };
            link.apply(desk).await?;
        }
        Ok(user)
    }
}

impl Change for AddSetupLink {
    type Outcome = ();

    fn manages(&self) -> Managed {
        Managed {
            user: Some(self.user),
            role: None,
        }
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let added = sql(
            "INSERT INTO setup_links (hash, user_id, expires, generation)
             SELECT $1, id, $3, generation FROM users WHERE id = $2
             ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, expires = excluded.expires,
                 generation = excluded.generation",
        )
        .bind(self.hash.as_slice())
        .bind(self.user.0)
        .bind(self.expires.millis())
        .run(desk.connection())
        .await
        .map_err(failed("adding a set-up link"))?;
        if added != 1 {
            return Err(StoreError::NoSuchUser);
        }
        desk.forget_failures(self.user).await
    }
}

impl Change for SetPassword {
    type Outcome = Raised;

    fn manages(&self) -> Managed {
        Managed {
            user: Some(self.user),
            role: None,
        }
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Raised, StoreError> {
        let doing = "setting a password";
        if let Some(hash) = self.link {
            let spent = sql(
                "DELETE FROM setup_links WHERE hash = $1 AND user_id = $2 AND expires > $3
                     AND generation = (SELECT generation FROM users WHERE id = $2)",
            )
            .bind(hash.as_slice())
            .bind(self.user.0)
            .bind(desk.now.millis())
            .run(desk.connection())
            .await
            .map_err(failed(doing))?;
            if spent != 1 {
                return Err(StoreError::LinkSpent);
            }
        }
        sql("DELETE FROM setup_links WHERE user_id = $1")
            .bind(self.user.0)
            .run(desk.connection())
            .await
            .map_err(failed(doing))?;
        if let Some(most) = self.remembered {
            remember(desk, self.user, most).await?;
        }
        let written = sql(
            "UPDATE users SET password = $2 WHERE id = $1 AND generation = coalesce($3, generation)",
        )
        .bind(self.user.0)
        .bind(self.phc.expose())
        .bind(self.as_of.map(Generation::number))
        .run(desk.connection())
        .await
        .map_err(failed(doing))?;
        if written != 1 {
            return Err(StoreError::Stale);
        }
        desk.forget_failures(self.user).await?;
        raise(desk, self.user).await
    }
}

impl Change for RaiseGeneration {
    type Outcome = Raised;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Raised, StoreError> {
        raise(desk, self.user).await
    }
}

impl Change for RaiseEveryGeneration {
    type Outcome = Raised;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Raised, StoreError> {
        raise_everybody(desk, &Subject::Everybody).await
    }
}

/// Raises everybody's generation, forgets all sessions, and tells the other nodes as what.
pub(super) async fn raise_everybody(
    desk: &mut Desk<'_>,
    told: &Subject,
) -> Result<Raised, StoreError> {
    let doing = "ending every session";
    let raised: Vec<(i64, i64)> =
        sql("UPDATE users SET generation = generation + 1 RETURNING id, generation")
            .all(desk.connection())
            .await
            .map_err(failed(doing))?;
    let ended = desk.end_every_session().await?;
    desk.tell(told).await?;
    Ok(Raised {
        users: raised.into_iter().map(as_raised).collect(),
        sessions: ended,
    })
}

impl Change for RehashPassword {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let written = sql("UPDATE users SET password = $3 WHERE id = $1 AND generation = $2")
            .bind(self.user.0)
            .bind(self.generation.number())
            .bind(self.phc.expose())
            .run(desk.connection())
            .await
            .map_err(failed("renewing a password hash"))?;
        match written {
            1 => Ok(()),
            _ => Err(StoreError::Stale),
        }
    }
}

/// Puts the current password with the past ones, and forgets the oldest beyond `most`.
async fn remember(desk: &mut Desk<'_>, user: UserId, most: usize) -> Result<(), StoreError> {
    let doing = "remembering a password";
    sql("INSERT INTO past_passwords (user_id, password)
         SELECT id, password FROM users WHERE id = $1 AND password IS NOT NULL")
    .bind(user.0)
    .run(desk.connection())
    .await
    .map_err(failed(doing))?;
    sql(
        "DELETE FROM past_passwords WHERE user_id = $1 AND seq NOT IN
             (SELECT seq FROM past_passwords WHERE user_id = $1 ORDER BY seq DESC LIMIT $2)",
    )
    .bind(user.0)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .run(desk.connection())
    .await
    .map(drop)
    .map_err(failed(doing))
}

/// The one place where a user's generation goes up.
pub(super) async fn raise(desk: &mut Desk<'_>, user: UserId) -> Result<Raised, StoreError> {
    let doing = "ending the sessions of a user";
    let raised: Option<(i64, i64)> =
        sql("UPDATE users SET generation = generation + 1 WHERE id = $1 RETURNING id, generation")
            .bind(user.0)
            .maybe(desk.connection())
            .await
            .map_err(failed(doing))?;
    let raised = raised.ok_or(StoreError::NoSuchUser)?;
    let ended = desk.end_sessions_of(user).await?;
    let (user, generation) = as_raised(raised);
    desk.tell(&Subject::User(user, generation)).await?;
    Ok(Raised {
        users: vec![(user, generation)],
        sessions: ended,
    })
}

fn as_raised((id, generation): (i64, i64)) -> (UserId, Generation) {
    (UserId(id), Generation::from_stored(generation))
}
