//! `mapproxy:proxy/tools`: types of the WIT in and out.

use mapproxy_core::tools::{
    self, Answer, AutoconfigQuery, ExportQuery, Files, GridQuery, Output, ScaleQuery, capabilities_url,
};

use crate::bindings::exports::mapproxy::proxy::configuration::File;
pub(crate) use crate::bindings::exports::mapproxy::proxy::tools as wit;
use crate::configuration;

/// The version of WMS that `autoconfig` asks for: every service knows it.
const OLDER: &str = "1.1.1";

pub(crate) fn ask(question: wit::Question, files: Vec<File>, environment: Vec<(String, String)>) -> wit::Answer {
    let files: Files = files.into_iter().map(|file| (file.path, file.content)).collect();
    let environment = environment.into_iter().collect();
    answer(match question {
        wit::Question::Grids(question) => tools::grids(&grid_query(question), &files, &environment),
        wit::Question::Scales(question) => match tools::scales(&question.values, &scale_query(&question)) {
            Ok(text) => Answer::Output(Output {
                text,
                ..Output::default()
            }),
            Err(reason) => Answer::Refused(reason),
        },
        wit::Question::Capabilities(question) => tools::wms_capabilities(&question.service, &question.version, &files),
        wit::Question::Autoconfig(question) => tools::autoconfig(&autoconfig_query(question), &files, &environment),
        wit::Question::MatrixSets(landing) => tools::grids_of_matrix_sets(&landing, &files),
        wit::Question::Tiles(question) => tools::export(&export_query(question), &files, &environment),
    })
}

fn answer(answer: Answer) -> wit::Answer {
    match answer {
        Answer::Output(output) => wit::Answer::Output(wit::Output {
            text: output.text,
            notes: output.notes,
            documents: output.documents,
        }),
        Answer::Need(paths) => wit::Answer::Need(paths),
        Answer::Problems(problems) => wit::Answer::Problems(problems.into_iter().map(configuration::problem).collect()),
        Answer::Refused(reason) => wit::Answer::Refused(reason),
    }
}

fn grid_query(question: wit::GridQuestion) -> GridQuery {
    GridQuery {
        main: question.main,
        only: question.only,
        all: question.all,
        names: question.names,
        coverage: question.coverage,
    }
}

fn scale_query(question: &wit::ScaleQuestion) -> ScaleQuery {
    ScaleQuery {
        levels: question.levels,
        dpi: question.dpi,
        degrees: question.degrees,
        evaluate: question.evaluate,
        repeat: question.repeat,
        from_resolutions: question.from_resolutions,
        as_configuration: question.as_configuration,
    }
}

fn autoconfig_query(question: wit::AutoconfigQuestion) -> AutoconfigQuery {
    AutoconfigQuery {
        capabilities: capabilities_url(&question.capabilities, OLDER)
            .unwrap_or_else(|_a_path| question.capabilities.clone()),
        shown: question.capabilities,
        base: question.base,
        overwrite: question.overwrite,
        overwrite_seed: question.overwrite_seed,
    }
}

fn export_query(question: wit::ExportQuestion) -> ExportQuery {
    ExportQuery {
        main: question.main,
        source: question.source,
        grid: question.grid,
        levels: question.levels,
        layout: question.layout,
        directory: question.directory,
        coverage: question.coverage,
        srs: question.srs,
        filter: question.filter,
        fetch_missing: question.fetch_missing,
    }
}
