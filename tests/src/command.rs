//! The real `mapproxy` binary as a command that runs to its end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::{binary, component};

/// Longest wait for a command.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a command left.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; -1 after a signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Starts `mapproxy` in a folder; it is killed when dropped.
pub fn start(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Child> {
    let mut command = Command::new(binary()?);
    command
        .args(arguments)
        .current_dir(folder)
        .env("MAPPROXY_COMPONENT", component()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.spawn().context("failed to start `mapproxy`")
}

/// Waits for the end of a command.
pub async fn finish(child: Child) -> Result<Ended> {
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .context("the command does not end")??;
    Ok(Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `mapproxy` in a folder to its end; arguments are separated by spaces.
pub async fn run(folder: &Path, arguments: &str) -> Result<Ended> {
    finish(start(folder, arguments.split_whitespace())?).await
}
