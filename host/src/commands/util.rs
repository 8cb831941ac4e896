//! `mapproxy util`: the helpers of `mapproxy-util`. What they know of maps, the component knows.

mod ask;
mod autoconfig;
mod create;
mod export;
mod mbtiles;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Parser as _, Subcommand, ValueEnum};

use self::ask::ask_and_print;
use self::autoconfig::{AutoconfigArgs, autoconfig};
use self::create::{CreateArgs, create};
use self::export::{ExportArgs, export};
use super::{serve, text_path};
use crate::bindings::tools::{CapabilitiesQuestion, GridQuestion, Question, ScaleQuestion};
use crate::cli::{Cli, Command, ComponentArgs};
use crate::logging;

/// Exit code of a helper that could not help.
const FAILED: u8 = 2;
/// What `--debug` logs: our own steps, not those of libraries.
const DEBUG: &str = "info,mapproxy=debug,guest=debug";

/// Arguments of `mapproxy util`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util grids mapproxy.yaml --list                 names of the grids
  mapproxy util scales -l 4 1000000                        resolutions of scales
  mapproxy util wms-capabilities https://example.org/wms   what a service offers
  mapproxy util export --help                              each helper has examples of its own")]
pub(crate) struct UtilArgs {
    #[command(subcommand)]
    command: UtilCommand,
}

#[derive(Debug, Subcommand)]
enum UtilCommand {
    /// Write configurations to start from: `mapproxy create` under MapProxy's names.
    Create(CreateArgs),
    /// Describe the grids of a configuration: settings (defaults have a `*`), resolutions, number of tiles.
    Grids(GridsArgs),
    /// Convert scales to resolutions, or back.
    Scales(ScalesArgs),
    /// List the layers of a WMS.
    WmsCapabilities(CapabilitiesArgs),
    /// Make a configuration, and one for seeding, from what a WMS offers.
    Autoconfig(Box<AutoconfigArgs>),
    /// Export tiles of a cache or source into a directory or file.
    Export(Box<ExportArgs>),
    /// Print the tile matrix sets of an OGC API as grids of a configuration.
    GridconfFromOgcapitilematrixset(MatrixSetsArgs),
    /// Serve a configuration and load it anew when it changes: `serve --reload`.
    ServeDevelop(DevelopArgs),
    /// Serve a directory of configurations, with a list of them: `serve --projects --allow-listing`.
    ServeMultiappDevelop(MultiappArgs),
    /// Not supported yet, as compact caches are not.
    #[command(hide = true)]
    DefragCompactCache(IgnoredArgs),
}

/// Whatever follows a command that is not supported.
#[derive(Debug, Args)]
struct IgnoredArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util grids mapproxy.yaml --list       the names of the grids that caches use
  mapproxy util grids mapproxy.yaml -g utm32     one grid: its settings, and each level
  mapproxy util grids -f mapproxy.yaml --all     all grids, those that are always there as well
  mapproxy util grids mapproxy.yaml -g utm32 -s seed.yaml -c germany
                                                 and its tiles in a coverage of seed.yaml")]
struct GridsArgs {
    /// The configuration, another way to give `--mapproxy-conf`.
    #[arg(value_name = "CONFIG", required_unless_present = "mapproxy_conf")]
    file: Option<PathBuf>,

    /// The configuration.
    #[arg(short = 'f', long, value_name = "FILE")]
    mapproxy_conf: Option<PathBuf>,

    /// This grid alone; case does not matter.
    #[arg(short, long, value_name = "NAME")]
    grid: Option<String>,

    /// Grids as well that no cache uses.
    #[arg(long)]
    all: bool,

    /// The names alone.
    #[arg(short, long)]
    list: bool,

    /// A seed configuration with coverages, see `--coverage-name`.
    #[arg(short, long, value_name = "FILE", requires = "coverage_name")]
    seed_conf: Option<PathBuf>,

    /// Also how many tiles lie in this coverage of the seed configuration, by its share of the area.
    #[arg(short, long, value_name = "NAME", requires = "seed_conf")]
    coverage_name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util wms-capabilities https://example.org/wms
  mapproxy util wms-capabilities 'https://example.org/cgi-bin/mapserv?map=roads.map' --version 1.3.0")]
struct CapabilitiesArgs {
    /// URL of the service.
    #[arg(value_name = "URL", required_unless_present = "host")]
    url: Option<String>,

    /// URL of the service, another way to give it.
    #[arg(long, value_name = "URL")]
    host: Option<String>,

    /// Version of WMS to ask for.
    #[arg(long, default_value = "1.1.1", value_parser = ["1.1.1", "1.3.0"])]
    version: String,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util gridconf-from-ogcapitilematrixset https://maps.example.org/ogcapi
  mapproxy util gridconf-from-ogcapitilematrixset https://maps.example.org/ogcapi > grids.yaml")]
struct MatrixSetsArgs {
    /// URL of the landing page.
    #[arg(value_name = "URL", required_unless_present = "url")]
    landing: Option<String>,

    /// URL of the landing page, another way to give it.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util scales -l 4 1000000                 four scales, each half of the one before
  mapproxy util scales --res-to-scale 0.5 0.25      resolutions as scales
  mapproxy util scales --as-res-config -l 10 5e6    as `res` of a grid")]
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
struct ScalesArgs {
    /// Scales, or resolutions with `--res-to-scale`.
    #[arg(required = true, value_name = "NUMBER", allow_negative_numbers = true)]
    values: Vec<String>,

    /// How many to print: the last one is halved.
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    levels: u32,

    /// Pixels an inch, or `OGC` for pixels of 0.28 mm.
    #[arg(short, long, default_value = "OGC")]
    dpi: String,

    /// Unit of resolutions.
    #[arg(long, value_enum, default_value = "m")]
    unit: Unit,

    /// Numbers are arithmetic, such as `360/256`.
    #[arg(long)]
    eval: bool,

    /// All numbers again and again, a tenth of them each time.
    #[arg(long)]
    repeat: bool,

    /// Numbers are resolutions.
    #[arg(long)]
    res_to_scale: bool,

    /// Print a list for a grid of the configuration.
    #[arg(long)]
    as_res_config: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unit {
    /// Metres a pixel.
    M,
    /// Degrees a pixel.
    D,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util serve-develop mapproxy.yaml
  mapproxy util serve-develop mapproxy.yaml -b 8081           on another port
  mapproxy util serve-develop mapproxy.yaml -b 0.0.0.0:8080   for everyone
  mapproxy util serve-develop mapproxy.yaml --debug           with more in the log")]
struct DevelopArgs {
    /// The configuration.
    #[arg(value_name = "CONFIG")]
    path: PathBuf,

    #[command(flatten)]
    server: DevelopServerArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util serve-multiapp-develop /etc/maps              /etc/maps/roads.yaml below /roads/
  mapproxy util serve-multiapp-develop /etc/maps -b 0.0.0.0:8080")]
struct MultiappArgs {
    /// The directory of configurations.
    #[arg(value_name = "DIR")]
    path: PathBuf,

    #[command(flatten)]
    server: DevelopServerArgs,
}

#[derive(Debug, Args)]
struct DevelopServerArgs {
    /// Address to listen on; without a host, on this machine only.
    #[arg(short, long, value_name = "[HOST:]PORT", default_value = "127.0.0.1:8080")]
    bind: String,

    /// Log each step, where `--log` asks for nothing else.
    #[arg(long)]
    debug: bool,

    /// Accepted and ignored: what is logged is told by `--log`.
    #[arg(long, value_name = "FILE", hide = true)]
    log_config: Option<PathBuf>,
}

/// Runs a helper. Errors begin with `ERROR:`, as those of `mapproxy-util` do.
pub(crate) fn util(args: &UtilArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let result = match &args.command {
        UtilCommand::Create(args) => create(args),
        UtilCommand::Grids(args) => grids(args, component),
        UtilCommand::Scales(args) => scales(args, component),
        UtilCommand::WmsCapabilities(args) => capabilities(args, component),
        UtilCommand::Autoconfig(args) => autoconfig(args, component),
        UtilCommand::Export(args) => export(args, component),
        UtilCommand::GridconfFromOgcapitilematrixset(args) => matrix_sets(args, component),
        UtilCommand::ServeDevelop(args) => return develop(&args.path, &args.server, &["--reload"], component),
        UtilCommand::ServeMultiappDevelop(args) => {
            return develop(&args.path, &args.server, &["--allow-listing", "--projects"], component);
        }
        UtilCommand::DefragCompactCache(_) => Err(anyhow!("compact caches are not supported yet")),
    };
    Ok(result.unwrap_or_else(|error| {
        // A reader that went away misses it.
        let _ = writeln!(io::stderr().lock(), "ERROR: {error:#}");
        ExitCode::from(FAILED)
    }))
}

fn grids(args: &GridsArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let file = args.mapproxy_conf.as_ref().or(args.file.as_ref());
    let coverage = match (&args.seed_conf, &args.coverage_name) {
        (Some(seed), Some(name)) => Some((text_path(seed)?, name.clone())),
        _ => None,
    };
    let question = Question::Grids(GridQuestion {
        main: text_path(file.context("expected a configuration")?)?,
        only: args.grid.clone(),
        all: args.all,
        names: args.list,
        coverage,
    });
    ask_and_print(&question, component)
}

fn capabilities(args: &CapabilitiesArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let service = args.host.as_ref().or(args.url.as_ref());
    let question = Question::Capabilities(CapabilitiesQuestion {
        service: service.context("expected the URL of a WMS")?.clone(),
        version: args.version.clone(),
    });
    ask_and_print(&question, component)
}

fn matrix_sets(args: &MatrixSetsArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let landing = args.landing.as_ref().or(args.url.as_ref());
    let landing = landing.context("expected the URL of the landing page of an OGC API")?;
    ask_and_print(&Question::MatrixSets(landing.clone()), component)
}

fn scales(args: &ScalesArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let dpi = if args.dpi.eq_ignore_ascii_case("ogc") {
        None
    } else {
        let number: Option<f64> = args.dpi.parse().ok().filter(|dpi: &f64| dpi.is_finite() && *dpi > 0.0);
        Some(number.with_context(|| {
            format!(
                "`{}` is no resolution of a screen; expected a number or `OGC`",
                args.dpi
            )
        })?)
    };
    let values = args.values.iter().flat_map(|value| value.split(','));
    let question = Question::Scales(ScaleQuestion {
        values: values.map(str::to_owned).collect(),
        levels: args.levels,
        dpi,
        degrees: matches!(args.unit, Unit::D),
        evaluate: args.eval,
        repeat: args.repeat,
        from_resolutions: args.res_to_scale,
        as_configuration: args.as_res_config,
    });
    ask_and_print(&question, component)
}

/// `serve` with other names for its options.
fn develop(path: &Path, args: &DevelopServerArgs, options: &[&str], component: &ComponentArgs) -> Result<ExitCode> {
    if args.debug {
        logging::filter_by(DEBUG)?;
    }
    let address = if args.bind.contains(':') {
        args.bind.clone()
    } else {
        format!("127.0.0.1:{}", args.bind)
    };
    let arguments = ["mapproxy", "serve", "--listen", &address]
        .into_iter()
        .chain(options.iter().copied());
    let arguments = arguments.map(std::ffi::OsStr::new).chain([path.as_os_str()]);
    match Cli::try_parse_from(arguments)?.command {
        Command::Serve(args) => serve(&args, component),
        _ => bail!("`serve` is not understood"),
    }
}
