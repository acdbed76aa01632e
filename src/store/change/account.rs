//! Changes of accounts by whoever manages them: role, e-mail, disabled; second factors taken away;
//! users removed. Each raises the generation, because a session tells the panel what was true when it
//! began.

use super::user::raise;
use super::{Change, Desk, Managed, Raised};
use crate::model::{Role, UserId};
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Changes what is given and leaves the rest. [`StoreError::NoSuchUser`];
/// [`StoreError::LastAdministrator`] when nobody could manage users afterwards.
#[derive(Debug)]
pub struct EditUser {
    pub user: UserId,
    pub role: Option<Role>,
    /// `Some(None)` takes the address away.
    pub email: Option<Option<String>>,
    pub disabled: Option<bool>,
}

/// Takes every second factor and recovery code away; the next sign-in enrols anew.
/// [`StoreError::NoSuchUser`].
#[derive(Debug)]
pub struct ResetSecondFactor {
    pub user: UserId,
}

/// Removes a user with all that belongs to it. The number is never given to another.
/// [`StoreError::NoSuchUser`]; [`StoreError::LastAdministrator`] as for [`EditUser`].
#[derive(Debug)]
pub struct RemoveUser {
    pub user: UserId,
}

impl Change for EditUser {
    type Outcome = Raised;

    fn manages(&self) -> Managed {
        Managed {
            user: Some(self.user),
            role: self.role,
        }
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Raised, StoreError> {
        let managed = manage(desk, Some(self.user)).await?;
        let raised = raise(desk, self.user).await?;
        sql(
            "UPDATE users SET role = coalesce($2, role), disabled = coalesce($3, disabled),
                 email = CASE WHEN $4 THEN $5 ELSE email END
             WHERE id = $1",
        )
        .bind(self.user.0)
        .bind(self.role.map(Role::as_str))
        .bind(self.disabled)
        .bind(self.email.is_some())
        .bind(self.email.flatten())
        .run(desk.connection())
        .await
        .map_err(failed("changing a user"))?;
        somebody_still_manages(desk, managed).await?;
        Ok(raised)
    }
}

impl Change for ResetSecondFactor {
    type Outcome = Raised;

    fn manages(&self) -> Managed {
        Managed {
            user: Some(self.user),
            role: None,
        }
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Raised, StoreError> {
        for statement in [
            "DELETE FROM totp_factors WHERE user_id = $1",
            "DELETE FROM recovery_codes WHERE user_id = $1",
        ] {
            sql(statement)
                .bind(self.user.0)
                .run(desk.connection())
                .await
                .map_err(failed("resetting a second factor"))?;
        }
        desk.forget_failures(self.user).await?;
        raise(desk, self.user).await
    }
}

impl Change for RemoveUser {
    type Outcome = Raised;

    fn manages(&self) -> Managed {
        Managed {
            user: Some(self.user),
            role: None,
        }
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Raised, StoreError> {
        let managed = manage(desk, Some(self.user)).await?;
        // Raised first: what is in memory of the user dies of a generation that was on disk.
        let raised = raise(desk, self.user).await?;
        sql("DELETE FROM users WHERE id = $1")
            .bind(self.user.0)
            .run(desk.connection())
            .await
            .map_err(failed("removing a user"))?;
        somebody_still_manages(desk, managed).await?;
        Ok(raised)
    }
}

/// The one place where it is decided that the last administrator stays: after a change of somebody who
/// could manage users, somebody still can.
async fn somebody_still_manages(desk: &mut Desk<'_>, could: bool) -> Result<(), StoreError> {
    if could && !manage(desk, None).await? {
        return Err(StoreError::LastAdministrator);
    }
    Ok(())
}

/// Whether this user, or anybody, can sign in and manage users: an enabled administrator with a
/// password.
async fn manage(desk: &mut Desk<'_>, user: Option<UserId>) -> Result<bool, StoreError> {
    let (can,): (bool,) = sql(
        "SELECT EXISTS (SELECT 1 FROM users WHERE id = coalesce($1, id)
             AND role = 'administrator' AND NOT disabled AND password IS NOT NULL)",
    )
    .bind(user.map(|user| user.0))
    .one(desk.connection())
    .await
    .map_err(failed("looking for an administrator"))?;
    Ok(can)
}
