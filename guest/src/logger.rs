//! The `log` facade on standard error: one line each, `LEVEL target: message`, which the host turns into its own
//! diagnostics with the request's id.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

static LOGGER: Stderr = Stderr;

impl Log for Stderr {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A line break in a message would begin a line of its own.
        let message = record.args().to_string().replace('\n', "\\n");
        let line = format!("{} {}: {message}\n", record.level(), record.target());
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// `$MAPPROXY_LOG`: `error`, `warn`, `info` (default), `debug`, `trace`, `off`.
pub(crate) fn install() {
    // A second call in a reused instance changes nothing.
    if log::set_logger(&LOGGER).is_ok() {
        let level = std::env::var("MAPPROXY_LOG").ok().and_then(|level| level.parse().ok());
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}
