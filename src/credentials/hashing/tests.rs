//! The threads and the lines, with hashes that stand still until a test lets them go on.

use std::sync::Barrier;
use std::sync::mpsc;

use super::*;

const THREADS: usize = 3;

impl Hall {
    /// Blocks this number of threads until the returned value is dropped.
    pub(in crate::credentials) async fn stop(&self, threads: usize) -> Vec<mpsc::Sender<()>> {
        let mut held = Vec::new();
        for _ in 0..threads {
            let (go_on, waits) = mpsc::channel::<()>();
            let (begun, has_begun) = oneshot::channel();
            let stopped = self.in_turn(Purpose::SignIn, move |_| {
                let _ = begun.send(());
                let _ = waits.recv();
                Ok(())
            });
            has_begun.await.unwrap();
            drop(stopped);
            held.push(go_on);
        }
        held
    }
}

#[tokio::test]
async fn as_many_run_side_by_side_as_there_are_threads_and_no_more() {
    let hall = Hall::open(THREADS, 8).unwrap();
    // None of them passes the barrier unless that many run at once.
    let barrier = Arc::new(Barrier::new(THREADS));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let waiting: Vec<_> = (0..4 * THREADS)
        .map(|number| {
            let (barrier, now, most) = (barrier.clone(), now.clone(), most.clone());
            let purpose = match number % 2 {
                0 => Purpose::SignIn,
                _ => Purpose::NewPassword,
            };
            hall.in_turn(purpose, move |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        })
        .collect();
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), THREADS);
    assert_eq!(hall.begun(), 4 * THREADS as u64);
}

#[tokio::test]
async fn the_lines_are_served_in_turn() {
    let hall = Hall::open(1, 8).unwrap();
    let held = hall.stop(1).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let join = |purpose, number: u32| {
        let order = order.clone();
        hall.in_turn(purpose, move |_| {
            order.lock().unwrap().push((purpose, number));
            Ok(())
        })
    };
    let mut waiting: Vec<_> = (0..4).map(|number| join(Purpose::SignIn, number)).collect();
    waiting.extend((0..2).map(|number| join(Purpose::NewPassword, number)));
    drop(held);
    for one in waiting {
        one.await.unwrap();
    }
    let expected = [
        (Purpose::NewPassword, 0),
        (Purpose::SignIn, 0),
        (Purpose::NewPassword, 1),
        (Purpose::SignIn, 1),
        (Purpose::SignIn, 2),
        (Purpose::SignIn, 3),
    ];
    assert_eq!(*order.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_crowd_that_signs_in_is_told_that_the_gateway_is_busy_and_a_new_password_is_not() {
    let hall = Hall::open(THREADS, 8).unwrap();
    let held = hall.stop(THREADS).await;
    let sign_in = || hall.in_turn(Purpose::SignIn, |_| Ok(()));
    let mut crowd: Vec<_> = (0..MOST_SIGN_INS).map(|_| sign_in()).collect();
    assert_eq!(hall.queue(), THREADS + MOST_SIGN_INS);
    assert_eq!(sign_in().await, Err(PasswordError::Busy));
    let new_password = hall.in_turn(Purpose::NewPassword, |_| Ok(()));
    // A caller that leaves frees its place.
    crowd.pop();
    crowd.push(sign_in());
    drop(held);
    new_password.await.unwrap();
    for waiting in crowd {
        assert_eq!(waiting.await, Ok(()));
    }
    assert_eq!(hall.begun() as usize, THREADS + MOST_SIGN_INS + 1);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_hashed() {
    let hall = Hall::open(THREADS, 8).unwrap();
    let held = hall.stop(THREADS).await;
    for _ in 0..5 {
        drop(hall.in_turn(Purpose::NewPassword, |_| Ok(())));
    }
    let last = hall.in_turn(Purpose::NewPassword, |_| Ok(()));
    drop(held);
    last.await.unwrap();
    assert_eq!(hall.begun() as usize, THREADS + 1);
}

#[tokio::test]
async fn a_hash_that_panics_or_asks_for_much_leaves_the_next_one_whole() {
    let hall = Hall::open(1, 8).unwrap();
    let broken = hall.in_turn(Purpose::SignIn, |_| -> Result<(), _> { panic!("tried") });
    assert_eq!(broken.await, Err(PasswordError::Failed));
    let large = hall.in_turn(Purpose::SignIn, |memory| {
        memory.resize(9, Block::new());
        Ok(())
    });
    large.await.unwrap();
    let kept = hall.in_turn(Purpose::SignIn, |memory| Ok(memory.capacity()));
    assert_eq!(kept.await, Ok(0));
    // The thread counts itself out after the answer.
    while hall.queue() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Policy and niceness of a thread, from its `stat` (proc_pid_stat(5): fields 41 and 19).
fn standing(stat: &str) -> (i32, i32) {
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    // The third field is the first after the name.
    let field = |number: usize| fields[number - 3].parse().unwrap();
    (field(41), field(19))
}

#[test]
fn the_threads_stand_back_and_have_a_share_of_their_own() {
    let _hall = Hall::open(THREADS, 8).unwrap();
    let own = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (own_policy, own_niceness) = standing(&own);
    let mut seen = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        // Threads of other tests come and go.
        let (Ok(name), Ok(stat)) = (
            std::fs::read_to_string(folder.join("comm")),
            std::fs::read_to_string(folder.join("stat")),
        ) else {
            continue;
        };
        if name.trim_end() == "passwords" {
            let (policy, niceness) = standing(&stat);
            // SCHED_IDLE, which is 5, has nothing but what is left over.
            assert_eq!(policy, own_policy);
            seen += usize::from(niceness == (own_niceness + NICENESS).min(19));
        }
    }
    assert!(seen >= THREADS, "{seen}");
}
