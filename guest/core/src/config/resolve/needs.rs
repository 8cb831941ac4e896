//! What requests need from outside: directories and servers.

use std::collections::BTreeMap;

use crate::config::findings::Findings;
use crate::config::yaml::At;
use crate::config::{Directory, Origin};

/// Directories and servers collected so far.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// path to whether it is written to
    directories: BTreeMap<String, bool>,
    origins: BTreeMap<(String, String, u16), (bool, Option<String>)>,
}

/// A URL taken apart as far as the configuration needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// without credentials
    pub(super) address: String,
    pub(super) credentials: Option<(String, String)>,
    scheme: String,
    host: String,
    port: u16,
}

impl Url {
    /// An `http` or `https` URL; otherwise what is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{url}` is no URL"))?;
        let scheme = scheme.to_lowercase();
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(format!("`{scheme}` URLs cannot be asked")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let credentials = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (name.to_owned(), password.to_owned())
        });
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':')),
            None => authority
                .split_once(':')
                .map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => default_port,
            Some(port) => port.parse().map_err(|_error| format!("`{port}` is no port"))?,
        };
        if host.is_empty() || host.contains(['%', '$', '{', ' ', '<', '>']) {
            return Err(format!("`{host}` is no name of a server"));
        }
        Ok(Self {
            address: format!("{scheme}://{authority}{path}"),
            credentials,
            scheme,
            host: host.to_lowercase(),
            port,
        })
    }
}

impl Needs {
    pub(super) fn directory(&mut self, path: &str, writable: bool) {
        *self.directories.entry(path.to_owned()).or_default() |= writable;
    }

    /// Whether anything is written at all.
    pub(super) fn writes(&self) -> bool {
        self.directories.values().any(|writable| *writable)
    }

    /// A server that is asked, with how its certificate is checked. The stricter of two wishes counts.
    pub(super) fn origin(
        &mut self,
        url: &Url,
        no_cert_checks: bool,
        ca_certs: Option<&str>,
        at: At,
        findings: &mut Findings,
    ) {
        let key = (url.scheme.clone(), url.host.clone(), url.port);
        let Some((unchecked, roots)) = self.origins.get_mut(&key) else {
            self.origins.insert(key, (no_cert_checks, ca_certs.map(str::to_owned)));
            return;
        };
        if *unchecked != no_cert_checks {
            *unchecked = false;
            findings
                .warn(
                    at,
                    format!(
                        "`ssl_no_cert_checks` differs from that of another source of `{}`",
                        url.host
                    ),
                )
                .expect("certificates are checked");
        }
        if roots.as_deref() != ca_certs {
            findings
                .warn(
                    at,
                    format!("`ssl_ca_certs` differs from that of another source of `{}`", url.host),
                )
                .expect("the first one counts");
            if roots.is_none() {
                *roots = ca_certs.map(str::to_owned);
            }
        }
    }

    /// Directories without those that lie in another with the same access.
    pub(super) fn directories(&self) -> Vec<Directory> {
        let covers = |outer: &str, inner: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| outer == "/" || rest.starts_with('/'))
        };
        self.directories
            .iter()
            .filter(|(path, writable)| {
                !self
                    .directories
                    .iter()
                    .any(|(outer, outer_writable)| (*outer_writable || !**writable) && covers(outer, path))
            })
            .map(|(path, writable)| Directory {
                path: path.clone(),
                writable: *writable,
            })
            .collect()
    }

    pub(super) fn origins(&self) -> Vec<Origin> {
        self.origins
            .iter()
            .map(|((scheme, host, port), (no_cert_checks, ca_certs))| Origin {
                scheme: scheme.clone(),
                host: host.clone(),
                port: *port,
                no_cert_checks: *no_cert_checks,
                ca_certs: ca_certs.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |url: &str, expect: &str| {
            let got = match Url::parse(url) {
                Ok(url) => format!("{} {} {} {:?}", url.address, url.host, url.port, url.credentials),
                Err(problem) => problem,
            };
            assert_eq!(got, expect, "{url}");
        };
        check("http://Example.ORG/a?b", "http://Example.ORG/a?b example.org 80 None");
        check(
            "https://u:p@w@x:8443?map=1",
            r#"https://x:8443?map=1 x 8443 Some(("u", "p@w"))"#,
        );
        check("http://[::1]:81/", "http://[::1]:81/ ::1 81 None");
        check("ftp://x/", "`ftp` URLs cannot be asked");
        check("x/y", "`x/y` is no URL");
        check("http://${HOST}/", "`${HOST}` is no name of a server");
    }

    #[test]
    fn directories_inside_others_are_left_out() {
        let mut needs = Needs::default();
        for (path, writable) in [
            ("/a", true),
            ("/a/b", true),
            ("/a/c", false),
            ("/ab", true),
            ("/r", false),
            ("/r/w", true),
            ("/r/x", false),
        ] {
            needs.directory(path, writable);
        }
        let got: Vec<_> = needs.directories().into_iter().map(|d| (d.path, d.writable)).collect();
        let expect = [("/a", true), ("/ab", true), ("/r", false), ("/r/w", true)]
            .map(|(path, writable)| (path.to_owned(), writable));
        assert_eq!(got, expect);
    }
}
