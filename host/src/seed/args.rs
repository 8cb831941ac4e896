//! Arguments of `mapproxy seed`: those of `mapproxy-seed`, and what it lacks.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::concurrency::Concurrency;
use super::gate::Rate;
use super::output::OutputFormat;
use super::runner::OnError;
use crate::units::{parse_duration, parse_size};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
#[command(after_long_help = "\
Exit codes: 0 done; 1 unknown task, or nothing could be started; 2 the configuration has errors; 3 interrupted, \
go on with --continue; 4 some tiles failed, see --failed-file.

Examples:
  mapproxy seed -f mapproxy.yaml -s seed.yaml              all tasks
  mapproxy seed -s seed.yaml --summary                     what would be done: tasks and their tiles
  mapproxy seed -s seed.yaml --map stored.html             what is stored, and how old it is
  mapproxy seed -s seed.yaml --seed=berlin --cleanup=ALL   one seed and all cleanups
  mapproxy seed -s seed.yaml -c auto --rate 10/s           as fast as the source bears
  mapproxy seed -s seed.yaml --continue                    from where it was interrupted
  mapproxy seed -s seed.yaml --failed-file failed.txt      a list of what failed ...
  mapproxy seed -s seed.yaml --tiles-file failed.txt       ... that can be given back")]
pub(crate) struct SeedArgs {
    /// The seed configuration, another way to give `--seed-conf`.
    #[arg(value_name = "SEED_CONF", conflicts_with = "seed_conf")]
    pub(crate) file: Option<PathBuf>,

    /// The MapServer program (`mapserv`) for sources of type `mapserver`.
    ///
    /// It runs on this machine with the rights of this process, once for each request, with the map files that
    /// configurations name and no others. Without it such sources do not answer.
    #[arg(long, value_name = "FILE")]
    pub(crate) mapserver_binary: Option<PathBuf>,

    /// The seed configuration.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) seed_conf: Option<PathBuf>,

    /// The configuration of the caches [default: `mapproxy.yaml` beside the seed configuration].
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) proxy_conf: Option<PathBuf>,

    /// Pieces of work at once, or `auto`: as many as make the sources faster.
    #[arg(short, long, value_name = "N", default_value = "2")]
    pub(crate) concurrency: Concurrency,

    /// Change nothing: count and draw what would be made, list what would be removed.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// On the last N levels, do not compare tiles with the coverage.
    #[arg(short = 'l', long, value_name = "N", default_value_t = 0)]
    pub(crate) skip_geoms_for_last_levels: u32,

    /// Only make tiles again that are stored already (and old, see `refresh_before`).
    #[arg(long)]
    pub(crate) skip_uncached: bool,

    /// Draw what of each level is stored, and how old it is, into this file (`.png`, `.html`), and end.
    #[arg(long, value_name = "FILE", value_parser = super::map::path)]
    pub(crate) map: Option<PathBuf>,

    /// Print the tasks with the number of their tiles, and end.
    #[arg(long)]
    pub(crate) summary: bool,

    /// Ask about each task.
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Seed only these tasks; cleanups only with `--cleanup`. `ALL` for all.
    #[arg(long, value_name = "TASK,..", value_delimiter = ',')]
    pub(crate) seed: Option<Vec<String>>,

    /// Clean up only these tasks; seeds only with `--seed`. `ALL` for all.
    #[arg(long, value_name = "TASK,..", value_delimiter = ',')]
    pub(crate) cleanup: Option<Vec<String>>,

    /// Never work on a cache on which another `mapproxy seed` works: wait for it.
    #[arg(long)]
    pub(crate) use_cache_lock: bool,

    /// Go on where an interrupted run was, and try again what had failed.
    #[arg(long = "continue")]
    pub(crate) continue_seed: bool,

    /// Where the state of the run is kept; it is written every second.
    #[arg(long, value_name = "FILE", default_value = ".mapproxy_seed_progress")]
    pub(crate) progress_file: PathBuf,

    /// Stop after this time (`90s`, `15m`, `4h`, `0.5d`); the exit code is 3 if something is left.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// A file whose time is the start of the last complete run, see `--reseed-interval`.
    #[arg(long, value_name = "FILE", requires = "reseed_interval")]
    pub(crate) reseed_file: Option<PathBuf>,

    /// Do nothing while `--reseed-file` is younger than this.
    #[arg(long, value_name = "TIME", requires = "reseed_file", value_parser = parse_duration)]
    pub(crate) reseed_interval: Option<Duration>,

    /// Fewer messages; twice: none but errors.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) quiet: u8,

    /// Accepted and ignored: what is logged is told by `--log`.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) log_config: Option<PathBuf>,

    /// Most requests to the sources: `10/s`, `100/m`, or for one server `maps.example.org=2/s`. May be repeated.
    #[arg(long, value_name = "[HOST=]N/s")]
    pub(crate) rate: Vec<Rate>,

    /// How often a failed piece is tried again.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) max_retries: u32,

    /// Wait before the first of these tries; it doubles each time, up to 10 minutes. `Retry-After` of a server counts
    /// where it is longer.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) retry_wait: Duration,

    /// What to do with a piece that has failed for good.
    #[arg(long, value_enum, default_value = "skip")]
    pub(crate) on_error: OnError,

    /// Longest time for one piece, waiting for the source included.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub(crate) piece_timeout: Duration,

    /// Where to write the list of what failed.
    #[arg(long, value_name = "FILE")]
    pub(crate) failed_file: Option<PathBuf>,

    /// Work off this list and nothing else: lines `z/x/y`, or those of `--failed-file`.
    #[arg(long, value_name = "FILE", conflicts_with = "continue_seed")]
    pub(crate) tiles_file: Option<PathBuf>,

    /// Form of progress and results.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: OutputFormat,

    /// Memory of one instance.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_size)]
    pub(crate) max_memory: usize,
}

impl ValueEnum for OnError {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Skip, Self::Stop]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(match self {
            Self::Skip => clap::builder::PossibleValue::new("skip").help("Note it and go on"),
            Self::Stop => clap::builder::PossibleValue::new("stop").help("End the run"),
        })
    }
}
