//! Diagnostics on standard error.

use std::io::Write;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

use crate::diagnostics::Colours;
use crate::seed::beside_bars;

/// Heading of the flags that every command has.
pub(crate) const EVERY_COMMAND: &str = "Options of every command";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// What to log: a level (error, warn, info, debug, trace) or a filter such as `info,guest=debug` [default: info; for
    /// `seed` warn, and error for what instances write].
    ///
    /// Lines that instances write come under the target `guest`, each with the id of its request.
    #[arg(long, global = true, env = "MAPPROXY_LOG", value_name = "FILTER", help_heading = EVERY_COMMAND)]
    log: Option<String>,

    /// Form of the log on standard error.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = EVERY_COMMAND
    )]
    log_format: LogFormat,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Standard error, where bars of progress may be.
struct BesideBars;

impl Write for BesideBars {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        beside_bars(|| std::io::stderr().write(line))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Set where the command line leaves the filter to the configuration.
static REPLACE: OnceLock<Replace> = OnceLock::new();

/// Starts logging for the whole process; `default` where nothing else is asked for.
pub(crate) fn start(args: &LogArgs, default: &str) -> Result<()> {
    let text = args.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(text).with_context(|| format!("`{text}` is not a log filter"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| BesideBars)
        .with_ansi(Colours::of(&std::io::stderr()) == Colours::Ansi);
    let replace: Replace = match args.log_format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init().context("failed to start logging")?;
            Box::new(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init().context("failed to start logging")?;
            Box::new(move |filter| handle.reload(filter))
        }
    };
    if args.log.is_none() {
        // Logging is started once.
        let _ = REPLACE.set(replace);
    }
    Ok(())
}

/// Takes the filter of a configuration. Returns whether it applies: the command line goes over it.
pub(crate) fn filter_by(text: &str) -> Result<bool> {
    let Some(replace) = REPLACE.get() else {
        return Ok(false);
    };
    let filter = EnvFilter::try_new(text).with_context(|| format!("`{text}` is not a log filter"))?;
    replace(filter).context("failed to set the log filter")?;
    Ok(true)
}
