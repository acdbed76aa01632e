//~ E0063 E0599
//! Whoever acts for a person or a program says by which credential.

use portcullis::model::{Actor, Scope, UserName};

pub fn a_person(name: UserName) -> Actor {
    Actor::User {
        name,
        address: std::net::IpAddr::from([192, 0, 2, 1]),
    }
}

pub fn a_program(name: String) -> Actor {
    Actor::Token {
        name,
        scope: Scope::Users,
    }
}

pub fn an_operator() -> Actor {
    Actor::Operator {}
}

pub fn with_a_default() -> Actor {
    Actor::default()
}

pub fn the_gateway() -> Actor {
    Actor::Gateway
}
