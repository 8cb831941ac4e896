//! `mapproxy util autoconfig`: configurations made from what a WMS offers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::ask::{Answered, ask, notes, print, unusable};
use crate::bindings::tools::{AutoconfigQuestion, Question};
use crate::cli::ComponentArgs;
use crate::commands::text_path;

#[derive(Debug, Args)]
#[command(after_long_help = "\
The base configuration has the grids: a layer whose service draws in the reference system of one of them gets a \
cache. Files with changes are YAML; maps are merged, everything else is replaced. A key may stand for several: \
`__all__` for all, `____roads` for those that end with `roads`, `osm____` for those that begin with `osm`.

Examples:
  mapproxy util autoconfig --capabilities https://example.org/wms
  mapproxy util autoconfig --capabilities https://example.org/wms --base grids.yaml \\
    --output mapproxy.yaml --output-seed seed.yaml
  mapproxy util autoconfig --capabilities capabilities.xml --overwrite changes.yaml")]
pub(super) struct AutoconfigArgs {
    /// URL of a WMS, or a capabilities document of version 1.1.1 or 1.3.0.
    #[arg(long, value_name = "URL|FILE")]
    capabilities: Option<String>,

    /// A `GeoPackage`; not supported yet.
    #[arg(long, value_name = "FILE", hide = true)]
    geopackage: Option<PathBuf>,

    /// Where the configuration goes; `-`: standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// Where the seed configuration goes.
    #[arg(long, value_name = "FILE")]
    output_seed: Option<PathBuf>,

    /// A configuration with grids, which the new one is based on.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// A file with changes to the configuration.
    #[arg(long, value_name = "FILE")]
    overwrite: Option<PathBuf>,

    /// A file with changes to the seed configuration.
    #[arg(long, value_name = "FILE")]
    overwrite_seed: Option<PathBuf>,

    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

pub(super) fn autoconfig(args: &AutoconfigArgs, component: &ComponentArgs) -> Result<ExitCode> {
    if args.geopackage.is_some() {
        bail!("not supported yet: configurations from a GeoPackage, for lack of GeoPackage caches");
    }
    let Some(capabilities) = &args.capabilities else {
        bail!("--capabilities required: the URL of a WMS, or a file");
    };
    let is_url = capabilities.starts_with("http://") || capabilities.starts_with("https://");
    let capabilities = if is_url {
        capabilities.clone()
    } else {
        text_path(Path::new(capabilities))?
    };
    for path in [Some(&args.output), args.output_seed.as_ref()].into_iter().flatten() {
        if !args.force && !is_stdout(path) && path.exists() {
            bail!("`{}` already exists, use --force to overwrite", path.display());
        }
    }
    let optional = |path: Option<&PathBuf>| path.map(|path| text_path(path)).transpose();
    let question = Question::Autoconfig(AutoconfigQuestion {
        capabilities,
        base: match &args.base {
            Some(path) => Some((text_path(path)?, named(path, &args.output)?)),
            None => None,
        },
        overwrite: optional(args.overwrite.as_ref())?,
        overwrite_seed: optional(args.overwrite_seed.as_ref())?,
    });
    let output = match ask(&question, component)? {
        Answered::Output(output) => output,
        Answered::Problems(problems) => return unusable(problems),
    };
    notes(&output);
    for (name, text) in &output.documents {
        match (name.as_str(), &args.output_seed) {
            ("config", _) => write(&args.output, text, args.force)?,
            ("seed", Some(path)) => write(path, text, args.force)?,
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How the new configuration names the one it is based on: as the user does, if both mean the same file.
fn named(base: &Path, output: &Path) -> Result<String> {
    let beside = is_stdout(output) || output.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    match base.to_str() {
        Some(name) if beside => Ok(name.to_owned()),
        _ => text_path(base),
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    if is_stdout(path) {
        return print(text).map(drop);
    }
    let mut options = fs::File::options();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write `{}`", path.display()))
}
