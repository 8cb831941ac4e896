//! Which of a source's reference systems is asked for, when it cannot draw the wanted one
//! (`PreferredSrcSRS` and `SupportedSRS` of MapProxy's `srs.py`, `globals.srs.preferred_src_proj`).

use serde::{Deserialize, Serialize};

use super::Srs;

/// `globals.srs.preferred_src_proj`: for a target, the source systems in order of preference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PreferredSrs {
    entries: Vec<(Srs, Vec<Srs>)>,
}

impl PreferredSrs {
    /// An empty list: [`best_srs`] falls back to the first system of the same kind.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Prefers `sources`, in this order, for maps in `target`.
    pub fn add(&mut self, target: Srs, sources: Vec<Srs>) {
        self.entries.push((target, sources));
    }

    /// Whether no preference is configured.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn of(&self, target: &Srs) -> &[Srs] {
        self.entries
            .iter()
            .rfind(|(key, _)| key == target)
            .map_or(&[], |(_, sources)| sources)
    }
}

/// The system of `supported` in which to ask for a map in `target`: the same system (in the spelling of
/// `supported`), else the first preferred one, else the first one that is geographic or projected like the target,
/// else the first. `None` only if `supported` is empty.
pub fn best_srs<'a>(target: &Srs, supported: &'a [Srs], preferred: &PreferredSrs) -> Option<&'a Srs> {
    let find = |wanted: &Srs| supported.iter().find(|srs| *srs == wanted);
    find(target)
        .or_else(|| preferred.of(target).iter().find_map(find))
        .or_else(|| supported.iter().find(|srs| srs.is_latlong() == target.is_latlong()))
        .or_else(|| supported.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_best_source_system() {
        let srs = |code: &str| Srs::new(code).expect("a known code");
        let mut preferred = PreferredSrs::new();
        preferred.add(
            srs("EPSG:25832"),
            vec![srs("EPSG:31467"), srs("EPSG:25833"), srs("EPSG:4326")],
        );
        let check = |target: &str, supported: &str, expect: Option<&str>| {
            let supported: Vec<Srs> = supported.split_whitespace().map(srs).collect();
            let found = best_srs(&srs(target), &supported, &preferred);
            assert_eq!(found.map(Srs::code), expect, "{target} of {supported:?}");
        };
        check("EPSG:3857", "EPSG:4326 EPSG:900913", Some("EPSG:900913"));
        check("EPSG:25832", "EPSG:3857 EPSG:4326 EPSG:25833", Some("EPSG:25833"));
        check("EPSG:25832", "EPSG:4258 EPSG:3857", Some("EPSG:3857"));
        check("EPSG:4258", "EPSG:3857 EPSG:4326", Some("EPSG:4326"));
        check("EPSG:4258", "EPSG:3857 EPSG:25832", Some("EPSG:3857"));
        check("EPSG:4258", "", None);
    }
}
