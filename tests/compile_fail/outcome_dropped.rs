//~ must-use
#![deny(unused_must_use)]
// An act whose outcome nobody tells.

use portcullis::users::Users;

pub async fn drops_it(users: &Users, name: &portcullis::model::UserName) {
    users.remove(name, portcullis::model::Actor::Operator { uid: 0 }).await;
}
