//! `mapproxy:proxy/tools`: types of the WIT in and out.

use mapproxy_core::config::{self, GridsOutcome};
use mapproxy_core::tools::{self, GridQuery, ScaleQuery};

use crate::bindings::exports::mapproxy::proxy::configuration::File;
pub(crate) use crate::bindings::exports::mapproxy::proxy::tools as wit;
use crate::configuration;

pub(crate) fn grids(
    main: &str,
    files: Vec<File>,
    environment: Vec<(String, String)>,
    only: Option<String>,
    all: bool,
    names: bool,
) -> wit::Answer {
    let files = files.into_iter().map(|file| (file.path, file.content)).collect();
    match config::describe_grids(main, &files, &environment.into_iter().collect()) {
        GridsOutcome::Need(paths) => wit::Answer::Need(paths),
        GridsOutcome::Problems(problems) => {
            wit::Answer::Problems(problems.into_iter().map(configuration::problem).collect())
        }
        GridsOutcome::Grids(infos) => match tools::grids(&infos, &GridQuery { only, all, names }) {
            Ok(text) => wit::Answer::Text(text),
            Err(reason) => wit::Answer::Refused(reason),
        },
    }
}

pub(crate) fn scales(values: &[String], options: wit::ScaleOptions) -> Result<String, String> {
    tools::scales(
        values,
        &ScaleQuery {
            levels: options.levels,
            dpi: options.dpi,
            degrees: options.degrees,
            evaluate: options.evaluate,
            repeat: options.repeat,
            from_resolutions: options.from_resolutions,
            as_configuration: options.as_configuration,
        },
    )
}
