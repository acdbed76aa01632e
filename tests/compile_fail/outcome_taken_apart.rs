//~ E0532 E0277 E0616 E0599
// What became of an act is told by all three answers, and can't be had in another way.

use portcullis::model::Outcome;

pub type Act = Outcome<u8, u8, u8>;

pub fn matched(act: Act) -> u8 {
    match act {
        Outcome(_) => 1,
    }
}

pub fn passed_on(act: Act) -> Result<u8, u8> {
    Ok(act?)
}

pub fn looked_into(act: Act) {
    let _fact = act.0;
}

pub fn unwrapped(act: Act) -> u8 {
    act.unwrap()
}

pub fn told(act: Act) -> u8 {
    act.tell(|done| done, |not_done| not_done, |not_certain| not_certain)
}
