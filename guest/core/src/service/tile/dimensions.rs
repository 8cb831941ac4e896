//! Values of a layer's dimensions in a tile request.

use super::TileError;
use crate::config::model::Dimension;
use crate::query::Dimensions;

/// The value of each dimension that the layer has: the client's if the layer knows it, the layer's default if there is
/// none or it is `default`. Every value that leaves here is one of the configuration, so it is safe in paths.
///
/// What the client says of other dimensions is ignored, or, where `only_known` (REST addresses), has to be `default`.
pub(in crate::service) fn checked_dimensions(
    dimensions: &[Dimension],
    asked: &Dimensions,
    only_known: bool,
) -> Result<Dimensions, TileError> {
    let invalid = |name: &str, value: &str| TileError::InvalidDimension {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    if only_known {
        let unknown = asked.iter().find(|(name, value)| {
            value != "default" && !dimensions.iter().any(|known| known.name.eq_ignore_ascii_case(name))
        });
        if let Some((name, value)) = unknown {
            return Err(invalid(name, value));
        }
    }
    dimensions
        .iter()
        .map(|dimension| {
            let value = asked
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&dimension.name))
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty() && *value != "default")
                .unwrap_or(&dimension.default);
            let is_known = value == dimension.default || dimension.values.iter().any(|known| known == value);
            if is_known {
                Ok((dimension.name.clone(), value.to_owned()))
            } else {
                Err(invalid(&dimension.name, value))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: &[(&str, &str)], only_known: bool, expect: Option<&[(&str, &str)]>) {
        let owned = |pairs: &[(&str, &str)]| -> Dimensions {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let dimensions = [
            Dimension {
                name: "time".to_owned(),
                values: vec!["2012-11-14".to_owned(), "2012-11-15".to_owned()],
                default: "2012-11-15".to_owned(),
            },
            Dimension {
                name: "Elevation".to_owned(),
                values: vec!["0".to_owned(), "1000".to_owned()],
                default: "0".to_owned(),
            },
        ];
        let found = checked_dimensions(&dimensions, &owned(asked), only_known);
        assert_eq!(found.ok(), expect.map(owned), "{asked:?}");
    }

    #[test]
    fn values_come_from_the_configuration() {
        let defaults: &[(&str, &str)] = &[("time", "2012-11-15"), ("Elevation", "0")];
        check(&[], false, Some(defaults));
        check(&[("TIME", "default"), ("elevation", "")], true, Some(defaults));
        check(
            &[("TIME", "2012-11-14"), ("ELEVATION", "1000")],
            false,
            Some(&[("time", "2012-11-14"), ("Elevation", "1000")]),
        );
        check(&[("time", "../../etc")], false, None);
        check(&[("elevation", "500")], false, None);
        check(&[("depth", "3")], false, Some(defaults));
        check(&[("depth", "3")], true, None);
        check(&[("depth", "default")], true, Some(defaults));
    }
}
