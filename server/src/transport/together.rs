//! Looks together at the small requests that were read together.
//!
//! A task for each request costs more than a model does for its row: it is made, queued, woken, queued again and thrown
//! away, and threads wake each other up to take a share of it. Here one task looks at all requests that a thread has
//! read: each hands its row to its model, the models run, and each finds its answer. Only a request that must wait for
//! something else becomes a task of its own.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::task::coop::unconstrained;

use crate::scoring::arrivals::{self, Announced, Arrivals};

/// How long requests are looked at one after the other: what is left then is work that other threads should share.
const LOOK_BUDGET: Duration = Duration::from_micros(200);
/// Requests whose rows run together: as many as the tree kernel takes at once. More of them would, for a model of a
/// microsecond a row, be a run that keeps the connections waiting, and each request a task after all.
const TOGETHER: usize = 64;

thread_local! {
    /// What the request is that is handed over next.
    static NEXT: Cell<Next> = const { Cell::new(Next::Any) };
    /// What this thread reads; the task that will look at it owns it.
    static READ: RefCell<Weak<Mutex<Read>>> = const { RefCell::new(Weak::new()) };
}

/// How much work a request is.
#[derive(Clone, Copy, Default)]
pub(super) enum Next {
    /// Nobody knows: it becomes a task.
    #[default]
    Any,
    /// A row or a few.
    Small,
    /// It was refused: to answer it takes next to nothing.
    Refused,
}

/// Says what the request is that this thread hands over next.
pub(super) fn announce_next(next: Next) {
    NEXT.set(next);
}

/// Takes the requests of a server's connections, announcing each until it is first looked at.
#[derive(Clone)]
pub(super) struct TogetherExecutor {
    arrivals: Arc<Arrivals>,
    budget: Duration,
}

impl TogetherExecutor {
    /// Announces to `arrivals`.
    #[must_use]
    pub(super) const fn new(arrivals: Arc<Arrivals>) -> Self {
        Self {
            arrivals,
            budget: LOOK_BUDGET,
        }
    }
}

impl<F> hyper::rt::Executor<F> for TogetherExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, request: F) {
        let announced = match NEXT.take() {
            Next::Any => {
                let announced = self.arrivals.announce();
                tokio::spawn(async move {
                    drop(announced);
                    request.await
                });
                return;
            }
            Next::Small => Some(self.arrivals.announce()),
            Next::Refused => None,
        };
        let request = Request {
            announced,
            answer: Box::pin(async move {
                request.await;
            }),
        };
        READ.with_borrow_mut(|read| {
            if let Some(request) = add(read, request) {
                let next = Arc::new(Mutex::new(Read::Open(vec![request])));
                *read = Arc::downgrade(&next);
                spawn_look(next, self.budget);
            }
        });
    }
}

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Request {
    /// Until it is looked at; nothing when it was refused.
    announced: Option<Announced>,
    answer: Answer,
}

/// Requests to look at together.
enum Read {
    Open(Vec<Request>),
    /// A task looks at them: what is read from now on is for the next.
    Closed,
}

/// Adds `request` to what is `read`; gives it back when that is closed or gone.
fn add(read: &Weak<Mutex<Read>>, request: Request) -> Option<Request> {
    let Some(read) = read.upgrade() else {
        return Some(request);
    };
    match &mut *read.lock() {
        Read::Open(requests) => {
            requests.push(request);
            None
        }
        Read::Closed => Some(request),
    }
}

fn spawn_look(read: Arc<Mutex<Read>>, budget: Duration) {
    tokio::spawn(look(read, budget));
}

/// Answers what was read.
async fn look(read: Arc<Mutex<Read>>, budget: Duration) {
    let Read::Open(mut requests) = std::mem::replace(&mut *read.lock(), Read::Closed) else {
        return;
    };
    if requests.len() > 1 {
        // They are no tasks: what one of them takes is not to be counted against the others.
        let left = unconstrained(async { look_at_all(requests, budget) }).await;
        if !left.is_empty() {
            // Whichever thread is free takes them, and their connections are read before.
            spawn_look(Arc::new(Mutex::new(Read::Open(left))), budget);
        }
        return;
    }
    if let Some(Request { announced, answer }) = requests.pop() {
        drop(announced);
        answer.await;
    }
}

/// Looks at requests, so many at a time that the run of a quick model for them is a short one; gives back what is left
/// when the budget is used up.
fn look_at_all(requests: Vec<Request>, budget: Duration) -> Vec<Request> {
    let began = Instant::now();
    let mut requests = requests.into_iter();
    let (mut unanswered, mut left) = (Vec::with_capacity(TOGETHER), Vec::new());
    while requests.len() > 0 {
        arrivals::together(|| {
            for Request { announced, answer } in requests.by_ref().take(TOGETHER) {
                if announced.is_none() || began.elapsed() < budget {
                    drop(announced);
                    unanswered.extend(look_at(answer));
                } else {
                    left.push(Request { announced, answer });
                }
            }
        });
        for answer in unanswered.drain(..) {
            if let Some(answer) = look_at(answer) {
                tokio::spawn(answer);
            }
        }
    }
    left
}

/// The answer, unless it has been given. Nobody wakes it: who keeps it looks again.
fn look_at(mut answer: Answer) -> Option<Answer> {
    let mut nobody = Context::from_waker(Waker::noop());
    let look = AssertUnwindSafe(|| answer.as_mut().poll(&mut nobody));
    // A panic ends the request that panicked, as it would end its task; the hook has told of it.
    catch_unwind(look)
        .is_ok_and(|seen| seen.is_pending())
        .then_some(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::task::Poll;

    use hyper::rt::Executor;
    use tokio::sync::{Barrier, mpsc, oneshot};

    use super::*;

    /// Longer than a busy machine keeps a thread from running.
    const BUDGET: Duration = Duration::from_millis(50);

    fn executor() -> (TogetherExecutor, Arc<Arrivals>) {
        let arrivals = Arc::new(Arrivals::default());
        let executor = TogetherExecutor {
            arrivals: Arc::clone(&arrivals),
            budget: BUDGET,
        };
        (executor, arrivals)
    }

    fn hand_over(
        executor: &TogetherExecutor,
        next: Next,
        request: impl Future<Output = ()> + Send + 'static,
    ) {
        announce_next(next);
        executor.execute(request);
    }

    /// Everything that is told until all who can tell have ended.
    async fn all<T>(mut heard: mpsc::UnboundedReceiver<T>) -> Vec<T> {
        let mut said = Vec::new();
        while let Some(one) = heard.recv().await {
            said.push(one);
        }
        said
    }

    #[tokio::test]
    async fn each_is_looked_at_once_more_after_what_they_put_off() {
        let (executor, arrivals) = executor();
        let (told, heard) = mpsc::unbounded_channel();
        for number in 0..3 {
            let told = told.clone();
            hand_over(&executor, Next::Small, async move {
                let (reply, answered) = oneshot::channel();
                let work = || {
                    let told = told.clone();
                    move || {
                        told.send(format!("work {number}")).unwrap();
                        reply.send(()).unwrap();
                    }
                };
                told.send(format!("look {number}")).unwrap();
                assert!(arrivals::put_off(number, work));
                assert!(arrivals::put_off(number, || || panic!("put off before")));
                answered.await.unwrap();
                told.send(format!("answer {number}")).unwrap();
            });
        }
        assert!(!arrivals.none());
        drop(told);
        let said = all(heard).await;
        let steps = ["look", "work", "answer"];
        let expected = steps.map(|step| [0, 1, 2].map(|number| format!("{step} {number}")));
        assert_eq!(said, expected.concat());
        assert!(arrivals.none());
    }

    #[tokio::test]
    async fn a_long_burst_is_looked_at_in_parts() {
        let (executor, arrivals) = executor();
        let (told, heard) = mpsc::unbounded_channel();
        for number in 0..=2 * TOGETHER {
            let told = told.clone();
            hand_over(&executor, Next::Small, async move {
                let work = || {
                    let told = told.clone();
                    move || told.send(None).unwrap()
                };
                told.send(Some(number)).unwrap();
                let _ = arrivals::put_off(0, work);
            });
        }
        drop(told);
        let said = all(heard).await;
        let parts: Vec<_> = said.split(Option::is_none).map(<[_]>::len).collect();
        assert_eq!(parts, [TOGETHER, TOGETHER, 1, 0]);
        assert!(said.into_iter().flatten().eq(0..=2 * TOGETHER));
        assert!(arrivals.none());
    }

    #[tokio::test]
    async fn what_waits_for_something_else_is_woken_by_it() {
        let (executor, _) = executor();
        let (told, heard) = mpsc::unbounded_channel();
        // None of them ends before all of them wait: only tasks of their own can do that.
        let barrier = Arc::new(Barrier::new(4));
        for number in 0..4 {
            let (told, barrier) = (told.clone(), Arc::clone(&barrier));
            hand_over(&executor, Next::Small, async move {
                tokio::time::sleep(Duration::from_millis(number)).await;
                barrier.wait().await;
                told.send(number).unwrap();
            });
        }
        drop(told);
        let mut said = all(heard).await;
        said.sort_unstable();
        assert_eq!(said, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_panic_ends_one_request_and_a_slow_one_does_not_keep_the_others() {
        let (executor, arrivals) = executor();
        let (told, heard) = mpsc::unbounded_channel();
        for number in 0..40 {
            let told = told.clone();
            hand_over(&executor, Next::Small, async move {
                assert_ne!(number, 1, "as it should");
                if number % 2 == 0 {
                    std::thread::sleep(BUDGET / 10);
                }
                // A task of its own may rest; looked at together this would be looked at twice at once.
                let mut looks = 0;
                std::future::poll_fn(|context| {
                    looks += 1;
                    context.waker().wake_by_ref();
                    if looks < 4 {
                        Poll::Pending
                    } else {
                        Poll::Ready(())
                    }
                })
                .await;
                told.send(number).unwrap();
            });
        }
        drop(told);
        let mut said = all(heard).await;
        said.sort_unstable();
        let expected: Vec<_> = (0..40).filter(|number| *number != 1).collect();
        assert_eq!(said, expected);
        assert!(arrivals.none());
    }

    #[tokio::test]
    async fn what_was_refused_is_answered_whatever_the_others_take() {
        let (executor, arrivals) = executor();
        let (told, heard) = mpsc::unbounded_channel();
        let slow = told.clone();
        hand_over(&executor, Next::Small, async move {
            std::thread::sleep(2 * BUDGET);
            slow.send("slow").unwrap();
        });
        let (late, any) = (told.clone(), told.clone());
        hand_over(&executor, Next::Small, async move {
            late.send("late").unwrap();
        });
        executor.execute(async move { any.send("any").unwrap() });
        hand_over(&executor, Next::Refused, async move {
            told.send("refused").unwrap();
        });
        let said = all(heard).await;
        assert_eq!(said, ["slow", "refused", "any", "late"]);
        assert!(arrivals.none());
    }
}
