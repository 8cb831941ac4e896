//! What the commands do.

mod check;
mod create;
mod manual;
mod seed;
mod serve;
mod util;

pub(crate) use self::check::{check, compile};
pub(crate) use self::create::create;
pub(crate) use self::manual::{completions, man};
pub(crate) use self::seed::seed;
pub(crate) use self::serve::serve;
pub(crate) use self::util::{UtilArgs, util};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::cli::{ComponentArgs, EmbedArgs};
use crate::component;
use crate::engine::{self, EngineLimits};
use crate::instance::Guests;

/// Memory for commands that only compile configurations.
const TOOL_MEMORY: usize = 1 << 30;

/// The component, ready for `compile`.
fn compiler(args: &ComponentArgs) -> Result<Arc<Guests>> {
    let engine = engine::build(EngineLimits {
        instances: 2,
        max_memory: TOOL_MEMORY,
    })?;
    engine::start_clock(&engine)?;
    let component = component::load(&engine, args.component.as_deref())?;
    Ok(Arc::new(Guests::new(&component, TOOL_MEMORY, 1)?))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("failed to find `{}`", path.display()))
}

/// The absolute path of a file that is there, as the component wants it.
fn text_path(path: &Path) -> Result<String> {
    let path = absolute(path)?;
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("the path `{}` is not UTF-8", path.display()))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
}

/// `mapproxy embed`.
pub(crate) fn embed(args: &EmbedArgs, component: &ComponentArgs) -> Result<()> {
    let path = component
        .component
        .as_deref()
        .context("`embed` needs `--component FILE`")?;
    let engine = engine::build(EngineLimits {
        instances: 1,
        max_memory: TOOL_MEMORY,
    })?;
    component::embed(&engine, path, &args.output)
}
