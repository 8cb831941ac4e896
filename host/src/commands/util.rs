//! `mapproxy util`: the helpers of `mapproxy-util`. What they know of maps, the component knows.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser as _, Subcommand, ValueEnum};

use super::check::fail;
use super::{absolute, compiler, runtime, serve};
use crate::app::{self, LoadError};
use crate::bindings::tools::{Answer, ScaleOptions};
use crate::cli::{Cli, Command, ComponentArgs};

/// Arguments of `mapproxy util`.
#[derive(Debug, Args)]
pub(crate) struct UtilArgs {
    #[command(subcommand)]
    command: UtilCommand,
}

#[derive(Debug, Subcommand)]
enum UtilCommand {
    /// Describe the grids of a configuration: settings (defaults have a `*`), resolutions, number of tiles.
    Grids(GridsArgs),
    /// Convert scales to resolutions, or back.
    Scales(ScalesArgs),
    /// Serve a configuration and load it anew when it changes: `serve --reload`.
    ServeDevelop(DevelopArgs),
    /// Serve a directory of configurations, with a list of them: `serve --projects --allow-listing`.
    ServeMultiappDevelop(DevelopArgs),
}

#[derive(Debug, Args)]
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
struct DevelopArgs {
    /// The configuration, or the directory of configurations.
    path: PathBuf,

    /// Address to listen on; without a host, on this machine only.
    #[arg(short, long, value_name = "[HOST:]PORT", default_value = "127.0.0.1:8080")]
    bind: String,
}

/// Runs a helper. Errors begin with `ERROR:`, as those of `mapproxy-util` do.
pub(crate) fn util(args: &UtilArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let result = match &args.command {
        UtilCommand::Grids(args) => grids(args, component),
        UtilCommand::Scales(args) => scales(args, component),
        UtilCommand::ServeDevelop(args) => return develop(args, &["--reload"], component),
        UtilCommand::ServeMultiappDevelop(args) => {
            return develop(args, &["--allow-listing", "--projects"], component);
        }
    };
    Ok(result.unwrap_or_else(|error| {
        // A reader that went away misses it.
        let _ = writeln!(io::stderr().lock(), "ERROR: {error:#}");
        ExitCode::from(2)
    }))
}

fn grids(args: &GridsArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let file = args.mapproxy_conf.as_ref().or(args.file.as_ref());
    let main = absolute(file.context("expected a configuration")?)?;
    let main = main.to_str().context("the path is not UTF-8")?.to_owned();
    let guests = compiler(component)?;
    let answer = runtime()?.block_on(async {
        let mut files = Vec::new();
        let (mut store, guest) = guests.toolbox().await?;
        loop {
            let answer = guest
                .call_grids(
                    &mut store,
                    &main,
                    &files,
                    &app::environment(),
                    args.grid.as_deref(),
                    args.all,
                    args.list,
                )
                .await?;
            let Answer::Need(paths) = answer else {
                return anyhow::Ok(answer);
            };
            let before = files.len();
            for path in paths {
                if files.iter().all(|file: &crate::bindings::File| file.path != path) {
                    files.push(app::file(path));
                }
            }
            if files.len() == before {
                bail!("the component asks again for files it was given");
            }
        }
    })?;
    match answer {
        Answer::Text(text) => print(&text),
        Answer::Problems(problems) => fail(LoadError::Problems(problems)),
        Answer::Refused(reason) => bail!("{reason}"),
        Answer::Need(_) => bail!("the component asks for files without end"),
    }
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
    let options = ScaleOptions {
        levels: args.levels,
        dpi,
        degrees: matches!(args.unit, Unit::D),
        evaluate: args.eval,
        repeat: args.repeat,
        from_resolutions: args.res_to_scale,
        as_configuration: args.as_res_config,
    };
    let values: Vec<String> = args
        .values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::to_owned)
        .collect();
    let guests = compiler(component)?;
    let text = runtime()?.block_on(async {
        let (mut store, guest) = guests.toolbox().await?;
        anyhow::Ok(guest.call_scales(&mut store, &values, options).await?)
    })?;
    match text {
        Ok(text) => print(&text),
        Err(reason) => bail!("{reason}"),
    }
}

/// A reader that goes away is no error.
fn print(text: &str) -> Result<ExitCode> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("failed to write to stdout"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// `serve` with other names for its options.
fn develop(args: &DevelopArgs, options: &[&str], component: &ComponentArgs) -> Result<ExitCode> {
    let address = if args.bind.contains(':') {
        args.bind.clone()
    } else {
        format!("127.0.0.1:{}", args.bind)
    };
    let path = args.path.as_os_str();
    let arguments = ["mapproxy", "serve", "--listen", &address]
        .into_iter()
        .chain(options.iter().copied());
    let arguments = arguments.map(std::ffi::OsStr::new).chain([path]);
    match Cli::try_parse_from(arguments)?.command {
        Command::Serve(args) => serve(&args, component),
        _ => bail!("`serve` is not understood"),
    }
}
