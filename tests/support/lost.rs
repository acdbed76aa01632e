//! Commits that happen and whose answers are lost: PostgreSQL holds each of them after it is on its disk, as it
//! waits for a standby that does not exist, and its connection is ended there.

use std::future::Future;

use super::eventually;
use super::postgres::Postgres;

/// A server that a test can make lose answers; until then it waits for no standby.
pub fn server() -> Postgres {
    let mut postgres = Postgres::laid_out(&[]);
    postgres.set("synchronous_standby_names", "nobody");
    postgres.set("synchronous_commit", "local");
    postgres.run();
    postgres.furnish();
    postgres
}

/// What comes of `doing` when the change that leaves an entry of this action in the audit list is written, and
/// its answer is lost. Other changes go on, and so do the leases of the nodes and what a gateway writes later of
/// what it ended in memory.
pub async fn lost<T>(postgres: &Postgres, action: &str, doing: impl Future<Output = T>) -> T {
    postgres.ask(&format!(
        "create or replace function wait_for_a_standby() returns trigger language plpgsql as \
         $$ begin perform set_config('synchronous_commit', 'on', true); return new; end $$; \
         create trigger lost before insert on audit for each row \
         when (new.action = '{action}' and new.actor <> 'gateway') execute function wait_for_a_standby()"
    ));
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
    let losing = async {
        eventually("a commit that waits", async || {
            (!postgres.ask(end).is_empty()).then_some(())
        })
        .await;
        postgres.ask("drop trigger lost on audit");
    };
    // What is done is under way first.
    let (done, ()) = tokio::join!(doing, losing);
    done
}
