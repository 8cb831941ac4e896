//! The core's [`Platform`] on WASI.

use std::time::Duration;

use mapproxy_core::platform::{Attempt, Clock, Files, HttpClient, Platform, UnixTime};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::random::random::get_random_u64;

use crate::files::{WasiFiles, unix_time};
use crate::http_client::WasiHttp;

/// Files, HTTP and clock of the host.
#[derive(Debug, Default)]
pub(crate) struct Wasi {
    pub(crate) files: WasiFiles,
    http: WasiHttp,
    clock: WasiClock,
    attempt: Option<Attempt>,
}

impl Wasi {
    /// For a piece of work, whose name is the same for each try to do it.
    pub(crate) fn for_piece(piece: u64) -> Self {
        let number = get_random_u64();
        Self {
            attempt: Some(Attempt { piece, number }),
            ..Self::default()
        }
    }
}

impl Platform for Wasi {
    fn files(&self) -> &dyn Files {
        &self.files
    }

    fn http(&self) -> &dyn HttpClient {
        &self.http
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn attempt(&self) -> Option<Attempt> {
        self.attempt
    }
}

#[derive(Debug, Default)]
struct WasiClock;

impl Clock for WasiClock {
    fn now(&self) -> UnixTime {
        unix_time(wall_clock::now())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(monotonic_clock::now())
    }

    fn sleep(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        monotonic_clock::subscribe_duration(nanoseconds).block();
    }

    fn random(&self) -> u64 {
        get_random_u64()
    }
}
