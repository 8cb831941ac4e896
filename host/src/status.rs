//! How a server is: whether it is ready, and what it has counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The state of a server as a whole, of a supervisor with all its workers.
#[derive(Debug, Default)]
pub(crate) struct Status {
    ready: AtomicBool,
    draining: AtomicBool,
    reloading: AtomicBool,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    replaced_workers: AtomicU64,
}

/// As the word of `/healthz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Starting,
    Ready,
    /// A changed configuration is being read; requests are answered from the old one.
    Reloading,
    /// Requests in flight come to their end, no others are taken.
    Draining,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Reloading => "reloading",
            Self::Draining => "draining",
        }
    }

    /// Whether requests should be sent here.
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::Ready | Self::Reloading)
    }
}

impl Status {
    pub(crate) fn state(&self) -> State {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if is(&self.draining) {
            State::Draining
        } else if !is(&self.ready) {
            State::Starting
        } else if is(&self.reloading) {
            State::Reloading
        } else {
            State::Ready
        }
    }

    pub(crate) fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Until what is returned is dropped.
    pub(crate) fn reloading(&self) -> impl Drop {
        struct Reloading<'status>(&'status Status);
        impl Drop for Reloading<'_> {
            fn drop(&mut self) {
                self.0.reloading.store(false, Ordering::Relaxed);
            }
        }
        self.reloading.store(true, Ordering::Relaxed);
        Reloading(self)
    }

    pub(crate) fn reloaded(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reload_failed(&self) {
        self.failed_reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn worker_replaced(&self) {
        self.replaced_workers.fetch_add(1, Ordering::Relaxed);
    }

    /// In the text format of Prometheus.
    pub(crate) fn metrics(&self, counts: &Counts) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut out = String::new();
        let mut metric = |kind: &str, name: &str, help: &str, values: &[(&str, u64)]| {
            use std::fmt::Write as _;
            // Writing to a String does not fail.
            let _ = writeln!(out, "# HELP mapproxy_{name} {help}\n# TYPE mapproxy_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(out, "mapproxy_{name}{labels} {value}");
            }
        };
        metric(
            "gauge",
            "ready",
            "1 while requests are taken.",
            &[("", u64::from(self.state().serves()))],
        );
        metric(
            "counter",
            "requests_total",
            "Requests answered, by the class of their status.",
            &[
                ("{status=\"2xx\"}", counts.successes),
                ("{status=\"3xx\"}", counts.redirections),
                ("{status=\"4xx\"}", counts.client_errors),
                ("{status=\"5xx\"}", counts.server_errors),
            ],
        );
        metric(
            "gauge",
            "requests_in_flight",
            "Requests being answered.",
            &[("", counts.in_flight)],
        );
        metric(
            "counter",
            "reloads_total",
            "Changed configurations, by whether they could be used.",
            &[
                ("{result=\"good\"}", read(&self.reloads)),
                ("{result=\"broken\"}", read(&self.failed_reloads)),
            ],
        );
        metric("gauge", "workers", "Processes that serve.", &[("", counts.processes)]);
        metric(
            "counter",
            "workers_replaced_total",
            "Processes that were started in place of another.",
            &[("", read(&self.replaced_workers))],
        );
        out
    }
}

/// What one process counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    in_flight: AtomicU64,
    /// By the first digit of the status.
    answers: [AtomicU64; 6],
}

/// A request on its way; whoever drops it ends the request.
#[derive(Debug)]
pub(crate) struct InFlight<'counters>(&'counters Counters);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests answered so far.
    pub(crate) fn total(&self) -> u64 {
        self.answers.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn counts(&self) -> Counts {
        let [_, _, successes, redirections, client_errors, server_errors] =
            self.answers.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        Counts {
            processes: 1,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            successes,
            redirections,
            client_errors,
            server_errors,
        }
    }
}

/// What was counted, by one process or several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) processes: u64,
    pub(crate) in_flight: u64,
    successes: u64,
    redirections: u64,
    client_errors: u64,
    server_errors: u64,
}

impl Counts {
    /// Together with those of another process.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            processes: self.processes + other.processes,
            in_flight: self.in_flight + other.in_flight,
            successes: self.successes + other.successes,
            redirections: self.redirections + other.redirections,
            client_errors: self.client_errors + other.client_errors,
            server_errors: self.server_errors + other.server_errors,
        }
    }

    /// What remains of them when the process has ended.
    pub(crate) fn of_the_dead(self) -> Self {
        Self {
            processes: 0,
            in_flight: 0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let status = Status::default();
        assert_eq!(status.state(), State::Starting);
        status.ready();
        assert_eq!(status.state(), State::Ready);
        let reloading = status.reloading();
        assert_eq!(status.state(), State::Reloading);
        drop(reloading);
        assert_eq!(status.state(), State::Ready);
        status.draining();
        assert_eq!(status.state(), State::Draining);
        assert!(!status.state().serves());
    }

    #[test]
    fn counting() {
        let counters = Counters::default();
        let request = counters.begin();
        for status in [200, 204, 304, 404, 503] {
            counters.answered(StatusCode::from_u16(status).unwrap());
        }
        assert_eq!(counters.total(), 5);
        let one = counters.counts();
        drop(request);
        assert_eq!((one.in_flight, counters.counts().in_flight), (1, 0));
        let both = one.and(one.of_the_dead());
        assert_eq!((both.processes, both.in_flight, both.successes), (1, 1, 4));
        let text = Status::default().metrics(&both);
        assert!(text.contains("mapproxy_requests_total{status=\"2xx\"} 4\n"), "{text}");
        assert!(text.contains("mapproxy_ready 0\n"), "{text}");
    }
}
