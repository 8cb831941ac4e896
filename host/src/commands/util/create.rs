//! `mapproxy util create`: the templates of `mapproxy-util create`, as far as they have a meaning here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::ask::print;
use crate::cli;
use crate::commands::{self, text_path};
use crate::create::create_deployment;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  mapproxy util create -t base-config mymapproxy     as `mapproxy create mymapproxy` does
  mapproxy util create -t wsgi-app -f mapproxy.yaml config.ini
                                                     what `mapproxy serve config.ini` reads
  mapproxy util create --list-templates")]
pub(super) struct CreateArgs {
    /// The directory or file to write.
    #[arg(value_name = "DEST", required_unless_present = "list_templates")]
    dest: Option<PathBuf>,

    /// What to write, see `--list-templates`.
    #[arg(short, long, value_name = "NAME", required_unless_present = "list_templates")]
    template: Option<String>,

    /// Print the names of the templates, and end.
    #[arg(long)]
    list_templates: bool,

    /// The configuration to serve, for `wsgi-app`.
    #[arg(short = 'f', long, value_name = "FILE")]
    mapproxy_conf: Option<PathBuf>,

    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

const TEMPLATES: &str = "\
base-config: directory with mapproxy.yaml, seed.yaml, and what servers need
wsgi-app: file that says how a configuration is served (Paste Deploy), needs --mapproxy-conf
";

pub(super) fn create(args: &CreateArgs) -> Result<ExitCode> {
    if args.list_templates {
        return print(TEMPLATES);
    }
    let dest = args.dest.as_deref().context("expected a destination")?;
    match args.template.as_deref() {
        Some("base-config") => commands::create(&cli::CreateArgs {
            directory: dest.to_owned(),
            force: args.force,
        }),
        Some("wsgi-app") => deployment(dest, args),
        Some("log-ini") => {
            bail!(
                "there is no template `log-ini`: `--log` says what is logged, or `[loggers]` of what `wsgi-app` writes"
            )
        }
        other => bail!(
            "unknown template `{}`; expected one of base-config, wsgi-app",
            other.unwrap_or_default()
        ),
    }
}

fn deployment(dest: &Path, args: &CreateArgs) -> Result<ExitCode> {
    let configuration = args.mapproxy_conf.as_deref();
    let configuration = text_path(configuration.context("the template `wsgi-app` needs `--mapproxy-conf`")?)?;
    if dest.extension().is_none_or(|extension| extension != "ini") {
        bail!(
            "expected a name that ends with `.ini`: `{}` would not be taken for a Paste Deploy file",
            dest.display()
        );
    }
    create_deployment(dest, Path::new(&configuration), args.force)?;
    let dest = dest.display();
    print(&format!("wrote {dest}\n\nServe it with\n  mapproxy serve {dest}\n"))
}
