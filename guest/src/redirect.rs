//! Absolute `http` URLs taken apart, and the `Location` of a redirect resolved against one (RFC 3986, 5.2).

use mapproxy_core::http::HttpFailure;

/// Scheme in lower case, authority, and path with query (at least `/`, fragment dropped).
pub(crate) fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = match url.split_once("://")? {
        (scheme, rest) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
        (scheme, rest) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
        _ => return None,
    };
    let rest = rest.split('#').next()?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let host = authority.rsplit('@').next()?;
    if host.is_empty() {
        return None;
    }
    // `http://host?query` has an empty path: callers get it as `/` where there is no query, else as it stands.
    Some((scheme, host, if path.is_empty() { "/" } else { path }))
}

/// Where `location`, sent by `base`, leads.
pub(crate) fn resolve(base: &str, location: &str) -> Result<String, HttpFailure> {
    let invalid = || HttpFailure::InvalidUrl {
        url: location.to_owned(),
        reason: format!("redirect from `{base}`"),
    };
    let (scheme, authority, path) = split(base).ok_or_else(invalid)?;
    let path = path.split('?').next().unwrap_or("/");
    let url = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{path}{location}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    split(&url).is_some().then_some(url).ok_or_else(invalid)
}
