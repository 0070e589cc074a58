//! Errors go where errors go: through `?` into what programs collect them in, whole and from any
//! thread.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::error::Error;
use std::io;

use common::quiet;
use scipar::{JoinError, Parallel, Pool, PoolError, RunError, Worker};

/// What many programs have as their error.
type Boxed = Box<dyn Error + Send + Sync>;

/// Compiles for what `?` takes into a box or into `anyhow::Error`.
fn is_an_error<E: Error + Send + Sync + 'static>() {}

#[test]
fn errors_may_be_shared_between_threads() {
    is_an_error::<JoinError>();
    is_an_error::<PoolError>();
    is_an_error::<RunError>();
    is_an_error::<RunError<io::Error>>();
    is_an_error::<RunError<String>>();
    is_an_error::<RunError<&'static str>>();
    is_an_error::<RunError<anyhow::Error>>();
    is_an_error::<RunError<Boxed>>();
    is_an_error::<scipar::channel::SendError<u8>>();
    is_an_error::<scipar::channel::TrySendError<u8>>();
    is_an_error::<scipar::channel::SendTimeoutError<u8>>();
    is_an_error::<scipar::channel::RecvError>();
    is_an_error::<scipar::channel::TryRecvError>();
    is_an_error::<scipar::channel::RecvTimeoutError>();
    #[cfg(feature = "process")]
    is_an_error::<RunError<scipar::process::ProcessError>>();
}

fn into_anyhow(pool: &Pool) -> anyhow::Result<u64> {
    let task = pool.spawn(|| 1).join()?;
    let worker = Worker::spawn(|_| 2).join()?;
    let map = pool.over(0..3_u64).map(|i| i)?;
    let tried = pool.over(0..3_u64).try_map(|i| io::Result::Ok(i))?;
    let text = pool.over(0..3_u64).try_map(|i| Ok::<_, String>(i))?;
    let any = Parallel::over(0..3_u64).try_map(|i| anyhow::Ok(i))?;
    Parallel::over(0..3).for_each(|_| ())?;
    let installed = pool.install(|| 3)?;
    let lists = [map, tried, text, any];
    Ok(task + worker + installed + lists.iter().flatten().sum::<u64>())
}

fn into_a_box(pool: &Pool) -> Result<u64, Boxed> {
    let task = pool.spawn(|| 1).join()?;
    let worker = Worker::spawn(|_| 2).join()?;
    let map = pool.over(0..3_u64).map(|i| i)?;
    let tried = pool.over(0..3_u64).try_map(|i| io::Result::Ok(i))?;
    let text = pool.over(0..3_u64).try_map(|i| Ok::<_, String>(i))?;
    let any = Parallel::over(0..3_u64).try_map(|i| anyhow::Ok(i))?;
    let installed = pool.install(|| 3)?;
    let lists = [map, tried, text, any];
    Ok(task + worker + installed + lists.iter().flatten().sum::<u64>())
}

#[test]
fn results_pass_through_question_marks() {
    let pool = Pool::new(2);
    assert_eq!(into_anyhow(&pool).unwrap(), 18);
    assert_eq!(into_a_box(&pool).unwrap(), 18);
}

/// The message of a run says which item failed and why, once, whatever the closure's error is.
#[test]
fn a_message_has_the_cause_once() {
    fn message<E>(fail: impl Fn() -> E + Sync) -> String
    where
        E: std::fmt::Display + std::fmt::Debug + Send + Sync + 'static,
    {
        let run = Parallel::over(0..9).try_map(|i| if i < 7 { Ok(i) } else { Err(fail()) });
        let error = anyhow::Error::new(run.unwrap_err());
        let message = error.to_string();
        assert_eq!(
            format!("{error:#}"),
            message,
            "nothing is behind it that it has"
        );
        message
    }
    assert_eq!(message(|| "as text"), "item 7 failed: as text");
    assert_eq!(message(|| 42), "item 7 failed: 42");
    assert_eq!(
        message(|| io::Error::other("the disk is full")),
        "item 7 failed: the disk is full"
    );
    let disk = || anyhow::anyhow!("the disk is full").context("writing x");
    assert_eq!(message(disk), "item 7 failed: writing x: the disk is full");
}

#[test]
fn the_closures_error_is_there_with_its_type() {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let run = Parallel::over(0..3).try_map(|_| Err::<(), _>(missing()));
    let error = run.unwrap_err();
    assert_eq!(error.error().unwrap().kind(), io::ErrorKind::NotFound);
    assert_eq!(error.into_error().unwrap().kind(), io::ErrorKind::NotFound);

    quiet();
    let panicked = Parallel::over(0..3_usize).try_map(|i| -> io::Result<()> {
        std::panic::panic_any(common::Meant(i));
    });
    let error = panicked.unwrap_err();
    assert!(error.is_panic() && error.error().is_none() && error.into_error().is_none());
}

/// From the thread of one worker to that of another, and through a caller's own enum of errors.
#[test]
fn an_error_is_looked_at_by_several_threads() {
    quiet();
    let pool = Pool::new(2);
    let error = pool
        .spawn(|| std::panic::panic_any(common::Meant(3)))
        .join()
        .unwrap_err();
    let seen = pool.par_map_chunked(0..4, 1, |_| error.is_panic());
    assert_eq!(seen, [true; 4]);
    let error = std::sync::Arc::new(anyhow::Error::new(error));
    let inside = error.clone();
    assert!(pool.spawn(move || inside.is::<JoinError>()).join().unwrap());
}
