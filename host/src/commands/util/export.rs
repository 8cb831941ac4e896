//! `mapproxy util export`: tiles into another directory or one file. The component makes the seed that does it, see
//! `tools.question` in `wit/mapproxy.wit`; here it is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::sync::watch;

use super::ask::{Answered, ask, unusable};
use super::mbtiles;
use crate::app::LoadError;
use crate::bindings::seeding::Options;
use crate::bindings::tools::{ExportQuestion, GridQuestion, Question};
use crate::bindings::{Problem, Severity};
use crate::cli::ComponentArgs;
use crate::commands::seed::{self, Work};
use crate::commands::text_path;
use crate::paste::nearest;
use crate::seed::{
    Checkpoint, Concurrency, Ended, OnError, Output, OutputFormat, Rates, Retries, Runner, Style, Task, Turnstile,
    estimate_text, new_run,
};

/// Where a cache has the locks of its tiles, below its directory.
const LOCKS: &str = "tile_locks";
const MEMORY: usize = 512 << 20;
const PIECE_TIMEOUT: Duration = Duration::from_mins(10);

#[derive(Debug, Args)]
#[command(after_long_help = "\
Without --fetch-missing-tiles, what is not stored in a cache is not exported. A source is asked for all tiles.

Examples:
  mapproxy util export -f mapproxy.yaml --source osm_cache --grid GLOBAL_WEBMERCATOR \\
    --levels 0..8 --dest tiles
  mapproxy util export ... --type mbtile --dest osm.mbtiles       one file
  mapproxy util export ... --grid 'base=GLOBAL_MERCATOR min_res=1000'
  mapproxy util export ... --coverage 13,52,14,53 --srs EPSG:4326 --fetch-missing-tiles
  mapproxy util export ... --dry-run                              how many tiles are that?")]
pub(super) struct ExportArgs {
    /// The configuration, another way to give `--mapproxy-conf`.
    #[arg(value_name = "CONFIG")]
    file: Option<PathBuf>,

    /// The configuration.
    #[arg(short = 'f', long, value_name = "FILE")]
    mapproxy_conf: Option<PathBuf>,

    /// Cache or source whose tiles are exported.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Grid of the exported tiles: a name, or a definition such as `srs=EPSG:25832 bbox=5,45,15,55 res='100 50'`.
    #[arg(long, value_name = "GRID")]
    grid: Option<String>,

    /// Directory or file that is written.
    #[arg(long, value_name = "PATH")]
    dest: Option<PathBuf>,

    /// Layout of the directory, or kind of file.
    #[arg(long = "type", value_name = "TYPE", default_value = "tms")]
    kind: String,

    /// Levels: `1,2,3` or `0..10`.
    #[arg(long, value_name = "LEVELS")]
    levels: Option<String>,

    /// Ask the sources of a cache for what is not stored.
    #[arg(long)]
    fetch_missing_tiles: bool,

    /// Write into a destination that exists.
    #[arg(long)]
    force: bool,

    /// Write nothing: count.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Pieces of work at once.
    #[arg(short, long, value_name = "N", default_value = "1")]
    concurrency: Concurrency,

    /// Area: `minx,miny,maxx,maxy`, or a file with polygons.
    #[arg(long, value_name = "BOX|FILE", allow_hyphen_values = true)]
    coverage: Option<String>,

    /// Reference system of the coverage.
    #[arg(long, value_name = "SRS")]
    srs: Option<String>,

    /// Filter of the coverage's polygons.
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,

    /// Fewer messages; twice: none but errors.
    #[arg(short, long, action = clap::ArgAction::Count)]
    quiet: u8,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    /// a directory of this layout
    Directory(&'static str),
    Mbtiles,
}

impl Container {
    fn of(kind: &str) -> Result<Self> {
        Ok(match kind {
            "tms" => Self::Directory("tms"),
            "tc" | "mapproxy" => Self::Directory("tc"),
            "mp" => Self::Directory("mp"),
            "quadkey" => Self::Directory("quadkey"),
            "arcgis" => Self::Directory("arcgis"),
            "mbtile" | "mbtiles" => Self::Mbtiles,
            "sqlite" | "geopackage" | "compact-v1" | "compact-v2" => {
                bail!("not supported yet: `--type {kind}`, for lack of such caches; {TYPES}")
            }
            _ => bail!("unknown `--type {kind}`; {TYPES}"),
        })
    }
}

const TYPES: &str = "expected one of tms, tc, mapproxy, mp, quadkey, arcgis, mbtile";

pub(super) fn export(args: &ExportArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let file = args.mapproxy_conf.as_ref().or(args.file.as_ref());
    let main = text_path(file.context("missing option --mapproxy-conf")?)?;
    let needed = |value: &Option<String>, name: &str| value.clone().with_context(|| format!("missing option --{name}"));
    let source = needed(&args.source, "source")?;
    let grid = needed(&args.grid, "grid")?;
    let levels = needed(&args.levels, "levels")?;
    let dest = args.dest.as_ref().context("missing option --dest")?;
    let container = Container::of(&args.kind)?;
    if dest.exists() && !args.force && !args.dry_run {
        bail!("`{}` exists, remove it or use --force", dest.display());
    }
    if let Some(coverage) = &args.coverage
        && !is_box(coverage)
        && !Path::new(coverage).exists()
    {
        bail!("`--coverage {coverage}`: there is no such file, nor is it a box `minx,miny,maxx,maxy`");
    }
    if !grid.contains('=') {
        match grid_names(&main, component)? {
            Ok(known) if !known.contains(&grid) => bail!(unknown_grid(&grid, &known)),
            Ok(_) => {}
            Err(problems) => return unusable(problems),
        }
    }
    let place = Place::new(dest, container, args.dry_run)?;
    let question = Question::Tiles(ExportQuestion {
        main,
        source: source.clone(),
        grid: grid.clone(),
        levels: levels.clone(),
        layout: place.layout.to_owned(),
        directory: text_path(&place.directory)?,
        coverage: match &args.coverage {
            Some(file) if Path::new(file).exists() => Some(text_path(Path::new(file))?),
            coverage => coverage.clone(),
        },
        srs: args.srs.clone(),
        filter: args.filter.clone(),
        fetch_missing: args.fetch_missing_tiles,
    });
    let answer = match ask(&question, component)? {
        Answered::Output(output) => output,
        Answered::Problems(problems) => return explain(problems, args),
    };
    let mut documents = answer.documents.into_iter();
    let (Some(main), Some(seed)) = (documents.next(), documents.next()) else {
        bail!("the component makes no configurations");
    };
    let mut facts: Vec<Document> = documents.collect();

    let style = Style {
        format: OutputFormat::Text,
        quiet: args.quiet,
    };
    let mut output = Output::new(style, None, None)?;
    let code = run(args, (main, seed), &mut facts, (&source, dest), &mut output, component)?;
    output.summary(false);
    if container == Container::Mbtiles && !args.dry_run && code == ExitCode::SUCCESS {
        let tiles = mbtiles::pack(&place.directory, dest, &facts)?;
        output.note(&format!("{tiles} tiles are in `{}`", dest.display()));
        if facts.iter().any(|(name, _)| name == "origin") {
            output.note(
                "rows count from the north, as this grid has them and MapProxy expects them; for other programs use a grid that \
                 begins in the south-west",
            );
        }
    }
    Ok(code)
}

/// The names of all grids of the configuration, or what is wrong with it.
fn grid_names(main: &str, component: &ComponentArgs) -> Result<Result<Vec<String>, Vec<Problem>>> {
    let question = Question::Grids(GridQuestion {
        main: main.to_owned(),
        only: None,
        all: true,
        names: true,
        coverage: None,
    });
    Ok(match ask(&question, component)? {
        Answered::Output(output) => Ok(output.text.lines().map(str::to_owned).collect()),
        Answered::Problems(problems) => Err(problems),
    })
}

fn unknown_grid(grid: &str, known: &[String]) -> String {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let expected = match nearest(grid, &names) {
        Some(name) => format!("did you mean `{name}`? There are"),
        None => "expected one of".to_owned(),
    };
    format!(
        "unknown grid `{grid}` of `--grid`; {expected} {}, or a definition such as `srs=EPSG:3857 res=100,50`",
        names.join(", ")
    )
}

fn is_box(coverage: &str) -> bool {
    coverage.split(',').all(|edge| edge.trim().parse::<f64>().is_ok())
}

/// Tells what is wrong by what the user wrote: what the component has made of the options is nothing to be shown.
fn explain(problems: Vec<Problem>, args: &ExportArgs) -> Result<ExitCode> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let made = errors.clone().find_map(|problem| Some((blamed(problem)?, problem)));
    let Some((option, problem)) = made else {
        return unusable(problems);
    };
    let value = match option {
        "source" => &args.source,
        "grid" => &args.grid,
        _ => &args.coverage,
    };
    let suggestion = problem.suggestion.as_ref();
    bail!(
        "`--{option} {}`: {}{}",
        value.as_deref().unwrap_or_default(),
        problem.message,
        suggestion
            .map(|name| format!("; did you mean `{name}`?"))
            .unwrap_or_default()
    )
}

/// The option that a place of the made configurations is from.
fn blamed(problem: &Problem) -> Option<&'static str> {
    let places = [
        ("caches.__export__.sources", "source"),
        ("grids.__export__", "grid"),
        ("coverages.__export__", "coverage"),
    ];
    let at = |place: &str| problem.yaml_path.starts_with(place);
    places.iter().find(|(place, _)| at(place)).map(|(_, option)| *option)
}

/// Where tiles are written to.
struct Place {
    directory: PathBuf,
    layout: &'static str,
    /// removed in the end
    temporary: bool,
    /// removed in the end unless something is in it
    made: bool,
    /// the directory of the locks of tiles, likewise; where it was there before, it stays
    locks: Option<PathBuf>,
}

impl Place {
    fn new(dest: &Path, container: Container, dry_run: bool) -> Result<Self> {
        let (directory, layout, mut temporary) = match container {
            Container::Directory(layout) => (dest.to_owned(), layout, false),
            Container::Mbtiles => {
                let mut name = dest.file_name().context("`--dest` names no file")?.to_owned();
                name.push(format!(".{}.tiles", std::process::id()));
                (dest.with_file_name(name), "tms", true)
            }
        };
        let made = !directory.exists();
        let locks = Some(directory.join(LOCKS)).filter(|locks| !locks.exists());
        temporary |= dry_run && made;
        fs::create_dir_all(&directory).with_context(|| format!("failed to make `{}`", directory.display()))?;
        Ok(Self {
            directory,
            layout,
            temporary,
            made,
            locks,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(locks) = &self.locks {
            // fails where something is in it
            let _ = fs::remove_dir(locks);
        }
        if self.temporary {
            if let Err(error) = fs::remove_dir_all(&self.directory) {
                tracing::warn!(directory = %self.directory.display(), %error, "failed to remove a directory");
            }
        } else if self.made {
            // fails where something is in it
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

type Document = (String, String);

fn run(
    args: &ExportArgs,
    (main, seed): (Document, Document),
    facts: &mut [Document],
    (source, dest): (&str, &Path),
    output: &mut Output,
    component: &ComponentArgs,
) -> Result<ExitCode> {
    let work = Work {
        concurrency: args.concurrency,
        max_memory: MEMORY,
        piece_timeout: PIECE_TIMEOUT,
    };
    let loader = work.loader(component, None)?;
    let runtime = seed::runtime()?;
    runtime.block_on(async {
        let app = match loader.load_made_seed(main, seed).await {
            Ok((app, _warnings)) => app,
            Err(LoadError::Problems(problems)) => return explain(problems, args),
            Err(error) => return Err(error.into()),
        };
        let (stopper, stop) = watch::channel(0);
        seed::stop_on_signals(&stopper)?;
        let runner = Runner {
            guests: Arc::clone(&loader.guests),
            app: Arc::new(app),
            turnstile: Turnstile::new(Rates::default()),
            options: Options {
                started: seed::unix_now(),
                skip_uncached: false,
                skip_geoms_for_last_levels: 0,
                dry_run: args.dry_run,
                run: new_run(),
            },
            concurrency: args.concurrency,
            retries: Retries {
                most: 3,
                first_wait: Duration::from_secs(2),
            },
            on_error: OnError::Skip,
            piece_timeout: PIECE_TIMEOUT,
            stop,
        };
        let tasks = runner.tasks().await?;
        let levels = || tasks.iter().flat_map(|task| task.info.levels.iter().copied());
        let (Some(first), Some(last)) = (levels().min(), levels().max()) else {
            bail!(
                "the grid `{}` has none of the levels `{}`; `mapproxy util grids` tells which there are",
                args.grid.as_deref().unwrap_or_default(),
                args.levels.as_deref().unwrap_or_default(),
            );
        };
        for (name, fact) in facts {
            // those that were asked for, of which the grid may have some alone
            let level = match name.as_str() {
                "minzoom" => first,
                "maxzoom" => last,
                _ => continue,
            };
            *fact = level.to_string();
        }
        for task in tasks {
            let task = shown(task, source, dest);
            if let Some(reason) = &task.info.unusable {
                let coverage = format!("`--coverage {}`", args.coverage.as_deref().unwrap_or_default());
                bail!("{}", reason.replace("coverage `__export__`", &coverage));
            }
            if args.dry_run {
                let estimate = runner.count(&task).await?;
                output.note(&format!("{}\n{}", task.title(), estimate_text(&estimate, None)));
                continue;
            }
            output.begin(&task, None, 0);
            let ended = runner.run(&task, Checkpoint::default(), output, &mut |_| {}).await?;
            output.end(&task, runner.turnstile.requests());
            if ended == Ended::Interrupted {
                return Ok(ExitCode::from(seed::INTERRUPTED));
            }
        }
        Ok(if output.any_failed() {
            ExitCode::from(seed::FAILED)
        } else {
            ExitCode::SUCCESS
        })
    })
}

/// The task with the names the user knows.
fn shown(mut task: Task, source: &str, dest: &Path) -> Task {
    task.label = Some(format!("export of {source} to `{}`", dest.display()));
    source.clone_into(&mut task.info.cache);
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_mapproxy_or_refused() {
        let check = |kind: &str, expect: Result<Container, &str>| match (Container::of(kind), expect) {
            (Ok(container), Ok(expected)) => assert_eq!(container, expected, "{kind}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (container, _) => panic!("{kind}: {container:?}"),
        };
        check("tms", Ok(Container::Directory("tms")));
        check("mapproxy", Ok(Container::Directory("tc")));
        check("mbtile", Ok(Container::Mbtiles));
        check("geopackage", Err("not supported yet"));
        check("zip", Err("expected one of tms"));
    }
}
