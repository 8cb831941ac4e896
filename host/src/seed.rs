//! Hands out pieces of seeding to instances of the component: at most so many at once, no faster than the sources bear,
//! failed ones again, and with a record of what is done. What a piece is only the component knows.

pub(crate) mod args;
mod concurrency;
mod gate;
mod ledger;
mod lock;
pub(crate) mod map;
mod output;
mod progress_file;
mod runner;
mod task;

pub(crate) use self::concurrency::Concurrency;
pub(crate) use self::gate::{Rates, Turnstile};
pub(crate) use self::ledger::Checkpoint;
pub(crate) use self::lock::ProcessLock;
pub(crate) use self::output::{
    Output, OutputFormat, Style, beside_bars, err, estimate_line, estimate_text, estimated_bytes, least_time,
};
pub(crate) use self::progress_file::{ProgressFile, new_run};
pub(crate) use self::runner::{Ended, OnError, Retries, Runner};
pub(crate) use self::task::{Failed, PieceList, Task};
