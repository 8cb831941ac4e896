//! `mapproxy create`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::CreateArgs;
use crate::create;

/// Writes a new directory and says what to do with it.
pub(crate) fn create(args: &CreateArgs) -> Result<ExitCode> {
    let program = std::env::current_exe().context("failed to find the path of this executable")?;
    let written = create::create(&args.directory, &program, args.force)?;
    let mut out = std::io::stdout().lock();
    for path in &written {
        writeln!(out, "wrote {}", path.display())?;
    }
    let file = |name: &str| args.directory.join("etc").join(name);
    let show = |path: &Path| path.display().to_string();
    writeln!(
        out,
        "\nEdit {}, then\n  mapproxy check {}\n  mapproxy serve {} --reload\nand open http://127.0.0.1:8080/demo/. For \
         production, see {} and the directories beside it.",
        show(&file("mapproxy.yaml")),
        show(&file("develop.ini")),
        show(&file("develop.ini")),
        show(&file("config.ini")),
    )?;
    Ok(ExitCode::SUCCESS)
}
