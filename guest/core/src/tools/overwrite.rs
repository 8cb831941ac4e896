//! Changes to a generated configuration, from a file of the user's (MapProxy: `script/conf/utils.py`).
//!
//! Maps are merged key by key, everything else is replaced. Keys may stand for several: `__all__` for every key that is
//! there, `____roads` for those that end with `roads`, `osm____` for those that begin with `osm`.

use serde_yaml::{Mapping, Value};

const ALL: &str = "__all__";
const ANY: &str = "____";

/// Applies `changes` to `document`. Patterns come first, so that a key by its whole name has the last word.
pub(super) fn overwrite(document: &mut Value, changes: &Value) {
    let Value::Mapping(changes) = changes else {
        if !changes.is_null() || !document.is_mapping() {
            *document = changes.clone();
        }
        return;
    };
    if !document.is_mapping() {
        *document = Value::Mapping(Mapping::new());
    }
    let Value::Mapping(map) = document else { return };
    for (key, change) in changes {
        let Some(pattern) = Pattern::parse(key) else { continue };
        for (own, value) in &mut *map {
            if own.as_str().is_some_and(|own| pattern.fits(own)) {
                overwrite(value, change);
            }
        }
    }
    for (key, change) in changes {
        if Pattern::parse(key).is_none() {
            overwrite(map.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

enum Pattern<'a> {
    All,
    Begins(&'a str),
    Ends(&'a str),
}

impl<'a> Pattern<'a> {
    fn parse(key: &'a Value) -> Option<Self> {
        let key = key.as_str()?;
        if key == ALL {
            return Some(Self::All);
        }
        let ends = key.strip_prefix(ANY).map(Self::Ends);
        ends.or_else(|| key.strip_suffix(ANY).map(Self::Begins))
    }

    fn fits(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Begins(start) => key.starts_with(start),
            Self::Ends(end) => key.ends_with(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_merged_and_patterns_stand_for_keys() {
        let check = |document: &str, changes: &str, expect: &str| {
            let read = |text: &str| -> Value { serde_yaml::from_str(text).unwrap() };
            let mut document = read(document);
            overwrite(&mut document, &read(changes));
            assert_eq!(document, read(expect), "{changes}");
        };
        let before = "{a_x: {k: 1, l: [1, 2]}, b_x: {k: 2}}";
        check(before, "{a_x: {l: [3]}}", "{a_x: {k: 1, l: [3]}, b_x: {k: 2}}");
        check(
            before,
            "{__all__: {m: 3}}",
            "{a_x: {k: 1, l: [1, 2], m: 3}, b_x: {k: 2, m: 3}}",
        );
        check(before, "{____x: {k: 0}}", "{a_x: {k: 0, l: [1, 2]}, b_x: {k: 0}}");
        check(before, "{b____: {k: 0}}", "{a_x: {k: 1, l: [1, 2]}, b_x: {k: 0}}");
        check(
            before,
            "{a_x: {k: 7}, ____x: {k: 0}}",
            "{a_x: {k: 7, l: [1, 2]}, b_x: {k: 0}}",
        );
        check(
            before,
            "{c: {____: 1, d: 2}}",
            "{a_x: {k: 1, l: [1, 2]}, b_x: {k: 2}, c: {d: 2}}",
        );
        check(before, "{b_x: }", before);
        check("{}", "{kml: }", "{kml: }");
    }
}
