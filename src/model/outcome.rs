//! What became of an act: it is done, it is not done, or that is not certain.
//!
//! These are three facts, and whoever tells of an act tells one of them. So an [`Outcome`] can't be
//! matched, unwrapped or passed through `?`: [`Outcome::tell`] is the only function that opens it,
//! and it takes an answer to each of the three.

use std::fmt;

/// What became of an act. `D` says what was done, `N` why nothing was, and `U` what is not certain.
#[must_use = "what became of an act has to be told: done, not done, or not certain"]
pub struct Outcome<D, N, U>(Fact<D, N, U>);

enum Fact<D, N, U> {
    Done(D),
    NotDone(N),
    NotCertain(U),
}

impl<D, N, U> Outcome<D, N, U> {
    /// It is done.
    pub const fn done(what: D) -> Self {
        Self(Fact::Done(what))
    }

    /// Nothing of it is done.
    pub const fn not_done(why: N) -> Self {
        Self(Fact::NotDone(why))
    }

    /// It may be done or not, or not everywhere.
    pub const fn not_certain(why: U) -> Self {
        Self(Fact::NotCertain(why))
    }

    /// Does `act` with what was prepared; what could not be prepared is not done.
    pub async fn after<P>(
        prepared: Result<P, N>,
        act: impl AsyncFnOnce(P) -> Outcome<D, N, U>,
    ) -> Self {
        match prepared {
            Ok(prepared) => act(prepared).await,
            Err(why) => Self::not_done(why),
        }
    }

    /// The only function that opens an outcome: an answer to each of the three facts.
    pub fn tell<T>(
        self,
        done: impl FnOnce(D) -> T,
        not_done: impl FnOnce(N) -> T,
        not_certain: impl FnOnce(U) -> T,
    ) -> T {
        match self.0 {
            Fact::Done(what) => done(what),
            Fact::NotDone(why) => not_done(why),
            Fact::NotCertain(why) => not_certain(why),
        }
    }

    /// The same fact, with more to say about what was done.
    pub fn map_done<T>(self, change: impl FnOnce(D) -> T) -> Outcome<T, N, U> {
        Outcome(match self.0 {
            Fact::Done(what) => Fact::Done(change(what)),
            Fact::NotDone(why) => Fact::NotDone(why),
            Fact::NotCertain(why) => Fact::NotCertain(why),
        })
    }

    /// Goes on from what was done; the fact stays what it is.
    pub async fn then<T>(self, go_on: impl AsyncFnOnce(D) -> T) -> Outcome<T, N, U> {
        Outcome(match self.0 {
            Fact::Done(what) => Fact::Done(go_on(what).await),
            Fact::NotDone(why) => Fact::NotDone(why),
            Fact::NotCertain(why) => Fact::NotCertain(why),
        })
    }

    /// The same fact, with the reason in the words of the room that passes it on.
    pub fn map_not_done<T>(self, change: impl FnOnce(N) -> T) -> Outcome<D, T, U> {
        Outcome(match self.0 {
            Fact::Done(what) => Fact::Done(what),
            Fact::NotDone(why) => Fact::NotDone(change(why)),
            Fact::NotCertain(why) => Fact::NotCertain(why),
        })
    }

    /// The same fact; `note` is called if it is done.
    pub fn note_done(self, note: impl FnOnce()) -> Self {
        if let Fact::Done(_) = self.0 {
            note();
        }
        self
    }

    /// The same fact; `change` may find out that what was not done need not be.
    pub async fn or_else(self, change: impl AsyncFnOnce(N) -> Outcome<D, N, U>) -> Self {
        match self.0 {
            Fact::NotDone(why) => change(why).await,
            fact => Self(fact),
        }
    }
}

/// For logs and failing tests: which of the three it is, and no more.
impl<D, N, U> fmt::Debug for Outcome<D, N, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Fact::Done(_) => "Outcome(done)",
            Fact::NotDone(_) => "Outcome(not done)",
            Fact::NotCertain(_) => "Outcome(not certain)",
        })
    }
}

#[cfg(test)]
impl<D: fmt::Debug, N: fmt::Debug, U: fmt::Debug> Outcome<D, N, U> {
    /// What was done, for tests that go on from there.
    pub fn unwrap(self) -> D {
        self.tell(
            |done| done,
            |why| panic!("not done: {why:?}"),
            |why| panic!("not certain: {why:?}"),
        )
    }

    /// Why it was not done, for tests that go on from there.
    pub fn unwrap_not_done(self) -> N {
        self.tell(
            |what| panic!("done: {what:?}"),
            |why| why,
            |why| panic!("not certain: {why:?}"),
        )
    }
}
