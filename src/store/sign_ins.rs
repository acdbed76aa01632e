//! Sign-ins that are under way, which any node may go on with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::change::Desk;
use super::read::user;
use super::seal::Place;
use super::statement::sql;
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::{User, UserId};
use crate::secret::Secret;

/// A sign-in to be kept.
#[derive(Debug)]
pub struct SignIn {
    /// SHA-256 of its cookie.
    pub cookie: [u8; 32],
    /// The user as read together with the password hash.
    pub user: User,
    /// Of the app that is to be enrolled.
    pub secret: Option<Secret<Vec<u8>>>,
    pub ends: Timestamp,
    /// From where it was begun.
    pub network: String,
}

/// One that is under way, and whose user's sessions were not ended since.
#[derive(Debug)]
pub struct HalfSignIn {
    pub user: User,
    pub secret: Option<Secret<Vec<u8>>>,
    pub ends: Timestamp,
}

/// Of what nothing can come any more: its time is up, or its user's sessions were ended since.
macro_rules! sign_in_is_over {
    () => {
        "(ends <= $1 OR generation <> (SELECT generation FROM users WHERE id = user_id))"
    };
}

type Row = (
    i64,
    String,
    String,
    Option<String>,
    bool,
    i64,
    Option<Vec<u8>>,
    i64,
);

impl Store {
    /// Keeps a sign-in, of which one user has `most_of_user` at the most: the oldest ends. `false`
    /// when there are `most` of them in all.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so for everything here.
    pub async fn keep_sign_in(
        &self,
        sign_in: &SignIn,
        most_of_user: u32,
        most: u32,
    ) -> Result<bool, StoreError> {
        let doing = "keeping a sign-in";
        let secret = match &sign_in.secret {
            Some(secret) => Some(
                self.seal
                    .seal(&place(sign_in.user.id, &sign_in.cookie), secret.expose())?,
            ),
            None => None,
        };
        let mut work = self.engine.begin_beside().await.map_err(failed(doing))?;
        if !self.is_shared() {
            // In a shared store one node does so now and then.
            sql(concat!("DELETE FROM sign_ins WHERE ", sign_in_is_over!()))
                .bind(self.clock.now().millis())
                .run(&mut work)
                .await
                .map_err(failed(doing))?;
        }
        sql("DELETE FROM sign_ins WHERE user_id = $1 AND cookie NOT IN (
                 SELECT cookie FROM sign_ins WHERE user_id = $1 ORDER BY ends DESC LIMIT $2)")
        .bind(sign_in.user.id.0)
        .bind(most_of_user.saturating_sub(1))
        .run(&mut work)
        .await
        .map_err(failed(doing))?;
        let kept = sql(
            "INSERT INTO sign_ins (cookie, user_id, generation, secret, ends, network)
             SELECT $1, id, generation, $4, $5, $8 FROM users
             WHERE id = $2 AND generation = $3
                 AND (SELECT count(*) FROM sign_ins WHERE ends > $7) < $6",
        )
        .bind(sign_in.cookie.as_slice())
        .bind(sign_in.user.id.0)
        .bind(sign_in.user.generation.number())
        .bind(secret)
        .bind(sign_in.ends.millis())
        .bind(most)
        .bind(self.clock.now().millis())
        .bind(sign_in.network.as_str())
        .run(&mut work)
        .await
        .map_err(failed(doing))?;
        work.commit().await.map_err(failed(doing))?;
        Ok(kept == 1)
    }

    /// The sign-in of this cookie.
    pub async fn sign_in(&self, cookie: &[u8; 32]) -> Result<Option<HalfSignIn>, StoreError> {
        let row: Option<Row> = sql(
            "SELECT id, name, role, email, disabled, users.generation, secret, ends
             FROM sign_ins JOIN users ON id = user_id AND users.generation = sign_ins.generation
             WHERE cookie = $1 AND ends > $2",
        )
        .bind(cookie.as_slice())
        .bind(self.clock.now().millis())
        .maybe(&self.engine)
        .await
        .map_err(failed("looking up a sign-in"))?;
        let Some((id, name, role, email, disabled, generation, sealed, ends)) = row else {
            return Ok(None);
        };
        let user = user((id, name, role, email, disabled, generation))?;
        let secret = match sealed {
            Some(sealed) => Some(self.seal.open(&place(user.id, cookie), &sealed)?),
            None => None,
        };
        Ok(Some(HalfSignIn {
            user,
            secret,
            ends: Timestamp::from_millis(ends),
        }))
    }

    /// Goes on with a sign-in of this user that is to enrol an app, is under way and was begun from the
    /// same network, until `ends`; whether there was one. Its secret stays as it is.
    pub async fn go_on_enrolling(
        &self,
        cookie: &[u8; 32],
        user: &User,
        network: &str,
        ends: Timestamp,
    ) -> Result<bool, StoreError> {
        let gone_on = sql("UPDATE sign_ins SET ends = $5
             WHERE cookie = $1 AND user_id = $2 AND generation = $3 AND network = $4 AND ends > $6
                 AND secret IS NOT NULL
                 AND generation = (SELECT generation FROM users WHERE id = user_id)")
        .bind(cookie.as_slice())
        .bind(user.id.0)
        .bind(user.generation.number())
        .bind(network)
        .bind(ends.millis())
        .bind(self.clock.now().millis())
        .run(self.engine.writer())
        .await
        .map_err(failed("going on with a sign-in"))?;
        Ok(gone_on == 1)
    }

    /// Forgets the sign-ins that are over, with the secrets that no app was enrolled with. In a shared
    /// store one node does so now and then.
    pub async fn forget_sign_ins(&self) -> Result<(), StoreError> {
        if self.is_shared() {
            return Ok(());
        }
        sql(concat!("DELETE FROM sign_ins WHERE ", sign_in_is_over!()))
            .bind(self.clock.now().millis())
            .run(self.engine.writer())
            .await
            .map(drop)
            .map_err(failed("forgetting sign-ins"))
    }

    /// Counts a try; whether there was one left of `tries`. A sign-in that is to enrol an app has no end
    /// of them: its page shows the secret that the codes are made of, so that there is nothing to guess.
    pub async fn try_sign_in(&self, cookie: &[u8; 32], tries: u32) -> Result<bool, StoreError> {
        let counted = sql("UPDATE sign_ins SET tries = tries + 1
             WHERE cookie = $1 AND (tries < $2 OR secret IS NOT NULL) AND ends > $3")
        .bind(cookie.as_slice())
        .bind(tries)
        .bind(self.clock.now().millis())
        .run(self.engine.writer())
        .await
        .map_err(failed("counting a try"))?;
        Ok(counted == 1)
    }
}

impl Desk<'_> {
    /// Ends a sign-in that is under way; [`StoreError::SignInOver`] when it is over already, so that
    /// one of them is never two sessions. One of an older generation is over, also where its row is still
    /// there.
    pub(super) async fn end_sign_in(&mut self, cookie: &[u8; 32]) -> Result<(), StoreError> {
        let ended = sql("DELETE FROM sign_ins WHERE cookie = $1 AND ends > $2
             AND generation = (SELECT generation FROM users WHERE id = user_id)")
        .bind(cookie.as_slice())
        .bind(self.now.millis())
        .run(self.connection())
        .await
        .map_err(failed("ending a sign-in"))?;
        match ended {
            1 => Ok(()),
            _ => Err(StoreError::SignInOver),
        }
    }
}

/// Where the secret of an app is kept while it is not enrolled.
fn place(user: UserId, cookie: &[u8; 32]) -> Place {
    let cookie = URL_SAFE_NO_PAD.encode(cookie);
    let former = format!("sign_ins/{}", user.0);
    Place::new("sign_ins.secret", format!("{}/{cookie}", user.0), former)
}
