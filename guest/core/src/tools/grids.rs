//! `mapproxy util grids`: what the grids of a configuration are like (MapProxy: `script/grids.py`).

use std::fmt::Write as _;

use crate::config::GridInfo;

/// Which grids, and how much of them.
#[derive(Debug, Clone, Default)]
pub struct GridQuery {
    /// this one alone, in any case
    pub only: Option<String>,
    /// those as well that no cache uses
    pub all: bool,
    /// the names alone
    pub names: bool,
}

/// The text, with an empty line between grids. Fails if there is no such grid.
pub fn grids(infos: &[GridInfo], query: &GridQuery) -> Result<String, String> {
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
        describe(&mut text, info);
    }
    Ok(text)
}

fn describe(text: &mut String, info: &GridInfo) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{}:\n    Configuration:", info.name);
    for (key, value) in &info.settings {
        let _ = writeln!(text, "        {key}: {value}");
    }
    let _ = writeln!(text, "    Levels: Resolutions, # x * y = total tiles");
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
        let total = if total >= 1_000_000 {
            format!("{:.2}M", total as f64 / 1e6)
        } else {
            total.to_string()
        };
        let _ = writeln!(
            text,
            "        {}:  {:width$} # {columns:6} * {rows:<6} = {total:>10}",
            info.grid.level_name(level),
            format!("{resolution},"),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{GridsOutcome, describe_grids};

    const CONFIGURATION: &str = "
caches:
  c: {grids: [geo_sqrt2, full], sources: []}
grids:
  geo_sqrt2: {base: GLOBAL_GEODETIC, res_factor: sqrt2, num_levels: 3}
  full: {tile_size: [512, 512], srs: 'EPSG:900913', bbox: [5, 45, 15, 55], bbox_srs: 'EPSG:4326', min_res: 2000, max_res: 50, align_resolutions_with: GLOBAL_MERCATOR}
";

    fn text(query: &GridQuery) -> Result<String, String> {
        let files = BTreeMap::from([("/m.yaml".to_owned(), Ok(CONFIGURATION.as_bytes().to_vec()))]);
        match describe_grids("/m.yaml", &files, &BTreeMap::new()) {
            GridsOutcome::Grids(infos) => grids(&infos, query),
            other => panic!("{other:?}"),
        }
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
