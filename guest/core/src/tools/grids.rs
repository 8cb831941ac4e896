//! `mapproxy util grids`: what the grids of a configuration are like (MapProxy: `script/grids.py`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Answer, Files, Output};
use crate::config::{GridInfo, Look, describe_grids, seed_coverage};
use crate::coverage::{Coverage, Polygon};

/// Which grids, and how much of them.
#[derive(Debug, Clone, Default)]
pub struct GridQuery {
    /// absolute path of the configuration
    pub main: String,
    /// this one alone, in any case
    pub only: Option<String>,
    /// those as well that no cache uses
    pub all: bool,
    /// the names alone
    pub names: bool,
    /// also how many tiles lie in an area: absolute path of a seed configuration and the name of a coverage in it
    pub coverage: Option<(String, String)>,
}

/// The text, with an empty line between grids. Fails if there is no such grid.
pub fn grids(query: &GridQuery, files: &Files, environment: &BTreeMap<String, String>) -> Answer {
    let infos = match describe_grids(&query.main, files, environment) {
        Look::Need(paths) => return Answer::Need(paths),
        Look::Problems(problems) => return Answer::Problems(problems),
        Look::Found(infos) => infos,
    };
    let coverage = match &query.coverage {
        None => None,
        Some((seed, name)) => match seed_coverage(seed, name, files, environment) {
            Look::Need(paths) => return Answer::Need(paths),
            Look::Problems(problems) => return Answer::Problems(problems),
            Look::Found(coverage) => Some((name.as_str(), coverage)),
        },
    };
    match describe(&infos, query, coverage.as_ref()) {
        Ok(text) => Answer::Output(Output::of_text(text)),
        Err(reason) => Answer::Refused(reason),
    }
}

fn describe(infos: &[GridInfo], query: &GridQuery, coverage: Option<&(&str, Coverage)>) -> Result<String, String> {
    let mut chosen: Vec<&GridInfo> = match &query.only {
        Some(name) => infos
            .iter()
            .filter(|info| info.name.eq_ignore_ascii_case(name))
            .collect(),
        None => infos.iter().filter(|info| query.all || info.used).collect(),
    };
    if let (Some(name), true) = (&query.only, chosen.is_empty()) {
        let known: Vec<String> = infos.iter().map(|info| format!("`{}`", info.name)).collect();
        return Err(format!("unknown grid `{name}`; there are: {}", known.join(", ")));
    }
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for (index, info) in chosen.into_iter().enumerate() {
        if query.names {
            text.push_str(&info.name);
            text.push('\n');
            continue;
        }
        if index > 0 {
            text.push('\n');
        }
        describe_grid(&mut text, info, coverage);
    }
    Ok(text)
}

/// The part of the grid's box that the coverage has.
fn share(info: &GridInfo, coverage: &Coverage) -> f64 {
    let (grid, srs) = (info.grid.bbox(), info.grid.srs());
    let inside = coverage
        .transform_to(srs)
        .ok()
        .and_then(|coverage| coverage.intersection(grid, srs));
    let Some(inside) = inside else { return 0.0 };
    let area = match inside.polygons() {
        Some(polygons) => polygons.iter().map(Polygon::area).sum(),
        None => inside.extent().bbox.width() * inside.extent().bbox.height(),
    };
    area / (grid.width() * grid.height())
}

fn describe_grid(text: &mut String, info: &GridInfo, coverage: Option<&(&str, Coverage)>) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{}:\n    Configuration:", info.name);
    for (key, value) in &info.settings {
        let _ = writeln!(text, "        {key}: {value}");
    }
    let share = coverage.map(|(name, coverage)| (name, share(info, coverage)));
    if let Some((name, share)) = share {
        let _ = writeln!(text, "    Coverage: {name}, {:.4}% of the grid's box", share * 100.0);
    }
    let part = if share.is_some() { " (in the coverage)" } else { "" };
    let _ = writeln!(text, "    Levels: Resolutions, # x * y = total tiles{part}");
    let resolutions: Vec<String> = info
        .grid
        .resolutions()
        .iter()
        .map(|res| crate::srs::python_float(*res))
        .collect();
    let width = resolutions.iter().map(String::len).max().unwrap_or(0) + 1;
    for (level, resolution) in (0_u32..).zip(&resolutions) {
        let (columns, rows) = info.grid.grid_size(level);
        let total = columns.saturating_mul(rows);
        let inside = share.map(|(_, share)| total as f64 * share);
        let inside = inside.map_or(String::new(), |inside| {
            if inside >= 1e6 {
                format!(" ({:7.2}M)", inside / 1e6)
            } else {
                format!(" ({})", inside as u64)
            }
        });
        let total = if total >= 1_000_000 {
            format!("{:.2}M", total as f64 / 1e6)
        } else {
            total.to_string()
        };
        let _ = writeln!(
            text,
            "        {}:  {:width$} # {columns:6} * {rows:<6} = {total:>10}{inside}",
            info.grid.level_name(level),
            format!("{resolution},"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "
caches:
  c: {grids: [geo_sqrt2, full], sources: []}
grids:
  geo_sqrt2: {base: GLOBAL_GEODETIC, res_factor: sqrt2, num_levels: 3}
  full: {tile_size: [512, 512], srs: 'EPSG:900913', bbox: [5, 45, 15, 55], bbox_srs: 'EPSG:4326', min_res: 2000, max_res: 50, align_resolutions_with: GLOBAL_MERCATOR}
";

    const SEED: &str = "coverages: {west: {bbox: [-180, -90, 0, 90], srs: 'EPSG:4326'}}";

    fn text(query: &GridQuery) -> Result<String, String> {
        let query = GridQuery {
            main: "/m.yaml".to_owned(),
            ..query.clone()
        };
        let file = |path: &str, text: &str| (path.to_owned(), Ok(text.as_bytes().to_vec()));
        let files = Files::from([file("/m.yaml", CONFIGURATION), file("/s.yaml", SEED)]);
        match grids(&query, &files, &BTreeMap::new()) {
            Answer::Output(output) => Ok(output.text),
            Answer::Refused(reason) => Err(reason),
            Answer::Problems(problems) => Err(problems.into_iter().map(|problem| problem.message).collect()),
            Answer::Need(paths) => panic!("{paths:?}"),
        }
    }

    #[test]
    fn tiles_in_a_coverage_are_counted() {
        let mut query = GridQuery {
            only: Some("geo_sqrt2".to_owned()),
            coverage: Some(("/s.yaml".to_owned(), "west".to_owned())),
            ..GridQuery::default()
        };
        let answer = text(&query).unwrap();
        assert!(
            answer.contains("    Coverage: west, 50.0000% of the grid's box\n"),
            "{answer}"
        );
        assert!(answer.contains("# x * y = total tiles (in the coverage)\n"), "{answer}");
        assert!(
            answer.lines().last().is_some_and(|line| line.ends_with("2 (1)")),
            "{answer}"
        );
        query.coverage = Some(("/s.yaml".to_owned(), "east".to_owned()));
        assert_eq!(text(&query), Err("unknown coverage `east`".to_owned()));
    }

    #[test]
    fn a_grid_is_described_as_mapproxy_does() {
        let query = GridQuery {
            only: Some("FULL".to_owned()),
            ..GridQuery::default()
        };
        assert_eq!(
            text(&query).unwrap(),
            "\
full:
    Configuration:
        align_resolutions_with: 'GLOBAL_MERCATOR'
        bbox: [5, 45, 15, 55]
        bbox_srs: 'EPSG:4326'
        max_res: 50
        min_res: 2000
        origin*: 'll'
        srs: 'EPSG:900913'
        tile_size: [512, 512]
    Levels: Resolutions, # x * y = total tiles
        00:  1222.99245256282,  #      2 * 3      =          6
        01:  611.49622628141,   #      4 * 6      =         24
        02:  305.748113140705,  #      8 * 12     =         96
        03:  152.8740565703525, #     15 * 23     =        345
        04:  76.43702828517625, #     29 * 45     =       1305
"
        );
    }

    #[test]
    fn names_are_those_caches_use_or_all() {
        let mut query = GridQuery {
            names: true,
            ..GridQuery::default()
        };
        assert_eq!(text(&query).unwrap(), "full\ngeo_sqrt2\n");
        query.all = true;
        assert_eq!(
            text(&query).unwrap(),
            "GLOBAL_GEODETIC\nGLOBAL_MERCATOR\nGLOBAL_WEBMERCATOR\nfull\ngeo_sqrt2\n"
        );
        query.only = Some("other".to_owned());
        assert!(text(&query).is_err());
    }
}
