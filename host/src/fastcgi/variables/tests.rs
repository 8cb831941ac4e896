//! The variables web servers send, and variables nobody should send.

use proptest::prelude::*;

use super::*;

fn params(pairs: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
    pairs
        .iter()
        .map(|(name, value)| (Bytes::from((*name).to_owned()), Bytes::from((*value).to_owned())))
        .collect()
}

fn read(pairs: &[(&str, &str)]) -> Variables {
    let mut all = vec![
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/"),
        ("SERVER_NAME", "example.org"),
    ];
    all.extend(pairs);
    Variables::read(params(&all), "").unwrap()
}

#[test]
fn the_mount_point() {
    // REQUEST_URI, SCRIPT_NAME, PATH_INFO, configured -> mount point, path and query
    type Case<'c> = (
        &'c str,
        &'c str,
        Option<&'c str>,
        Option<&'c str>,
        Option<(&'c str, &'c str)>,
    );
    let cases: [Case<'_>; 34] = [
        // nginx, lighttpd, mod_fcgid
        (
            "/proxy/service?a=b",
            "/proxy",
            Some("/service"),
            None,
            Some(("/proxy", "/proxy/service?a=b")),
        ),
        ("/proxy/", "/proxy", Some("/"), None, Some(("/proxy", "/proxy/"))),
        ("/proxy", "/proxy", Some(""), None, Some(("/proxy", "/proxy"))),
        (
            "/a/deep/prefix/tms/1.0.0",
            "/a/deep/prefix",
            Some("/tms/1.0.0"),
            None,
            Some(("/a/deep/prefix", "/a/deep/prefix/tms/1.0.0")),
        ),
        (
            "/tms/tms/1.0.0",
            "/tms",
            Some("/tms/1.0.0"),
            None,
            Some(("/tms", "/tms/tms/1.0.0")),
        ),
        // at the root
        ("/service?", "", Some("/service"), None, Some(("", "/service?"))),
        ("/service", "", None, None, Some(("", "/service"))),
        ("/", "", Some("/"), None, Some(("", "/"))),
        ("/service", "/", Some("service"), None, Some(("", "/service"))),
        ("/service", "/", Some("/service"), None, Some(("", "/service"))),
        // swallowed
        ("/service?a=b", "/service", None, None, Some(("", "/service?a=b"))),
        (
            "/proxy/service",
            "/proxy/service",
            None,
            None,
            Some(("", "/proxy/service")),
        ),
        (
            "/proxy/service",
            "/proxy/service",
            None,
            Some("/proxy"),
            Some(("/proxy", "/proxy/service")),
        ),
        (
            "/proxy/service",
            "/proxy/service",
            None,
            Some("/proxy/"),
            Some(("/proxy", "/proxy/service")),
        ),
        ("/proxy", "", Some(""), Some("/proxy"), Some(("/proxy", "/proxy"))),
        (
            "/proxyservice",
            "/proxyservice",
            None,
            Some("/proxy"),
            Some(("", "/proxyservice")),
        ),
        // split by hand, where the pattern does not match
        ("/proxy", "", Some(""), None, Some(("", "/proxy"))),
        // escapes: decoded in the variables, not in the request
        (
            "/pr%6Fxy/stra%C3%9Fe%2Fx",
            "/proxy",
            Some("/straße/x"),
            None,
            Some(("/pr%6Fxy", "/pr%6Fxy/stra%C3%9Fe%2Fx")),
        ),
        (
            "/straße/x?q=ä b",
            "/straße",
            Some("/x"),
            None,
            Some(("/stra%C3%9Fe", "/stra%C3%9Fe/x?q=%C3%A4%20b")),
        ),
        ("/a(b)/x", "/a(b)", Some("/x"), None, Some(("/a%28b%29", "/a%28b%29/x"))),
        (
            "/proxy/100%/x",
            "/proxy",
            Some("/100%/x"),
            None,
            Some(("/proxy", "/proxy/100%/x")),
        ),
        (
            "/proxy/stra%c3%9Fe%20x",
            "/proxy",
            Some("/stra%C3%9Fe%20x"),
            None,
            Some(("/proxy", "/proxy/stra%c3%9Fe%20x")),
        ),
        // merged slashes
        (
            "/proxy//service",
            "/proxy",
            Some("/service"),
            None,
            Some(("/proxy", "/proxy/service")),
        ),
        // rewritten: the client's view counts where the rest of the path is in it
        (
            "/maps/service",
            "/proxy",
            Some("/service"),
            None,
            Some(("/maps", "/maps/service")),
        ),
        (
            "/proxy/service",
            "",
            Some("/service"),
            None,
            Some(("/proxy", "/proxy/service")),
        ),
        (
            "/something?x=1",
            "/proxy",
            Some("/service"),
            None,
            Some(("/proxy", "/proxy/service?q=s")),
        ),
        (
            "/proxy/../proxy/service",
            "/proxy",
            Some("/service"),
            None,
            Some(("/proxy", "/proxy/service?q=s")),
        ),
        // without REQUEST_URI
        (
            "",
            "/proxy",
            Some("/straße 1"),
            None,
            Some(("/proxy", "/proxy/stra%C3%9Fe%201?q=s")),
        ),
        ("", "", Some("/a?b"), None, Some(("", "/a%3Fb?q=s"))),
        ("", "", None, None, None),
        ("", "/a/../b", Some("/x"), None, None),
        // a client that takes the web server for a proxy
        (
            "http://example.org/proxy/x?u=http://y/",
            "/proxy",
            Some("/x"),
            None,
            Some(("/proxy", "/proxy/x?u=http://y/")),
        ),
        ("http://example.org", "", Some("/"), None, Some(("", "/"))),
        ("*", "", Some(""), None, Some(("", "*"))),
    ];
    for (uri, script_name, path_info, configured, expect) in cases {
        let target = Target::of(
            uri.as_bytes(),
            script_name.as_bytes(),
            path_info.map(str::as_bytes),
            b"q=s",
            configured,
        );
        let expect = expect.map(|(mount, uri)| Target {
            uri: uri.to_owned(),
            mount: mount.to_owned(),
        });
        assert_eq!(target, expect, "{uri} {script_name} {path_info:?} {configured:?}");
    }
}

#[test]
fn the_host_and_the_scheme() {
    let check = |pairs: &[(&str, &str)], https: bool, host: &str| {
        let variables = read(pairs);
        assert_eq!(
            (variables.https, variables.headers[HOST].to_str().unwrap()),
            (https, host),
            "{pairs:?}"
        );
    };
    check(&[], false, "example.org");
    check(
        &[("HTTP_HOST", "maps.example:8443"), ("HTTPS", "on")],
        true,
        "maps.example:8443",
    );
    check(&[("SERVER_PORT", "80")], false, "example.org");
    check(&[("SERVER_PORT", "8080")], false, "example.org:8080");
    check(
        &[("SERVER_PORT", "443"), ("REQUEST_SCHEME", "https")],
        true,
        "example.org",
    );
    check(&[("SERVER_PORT", "443"), ("HTTPS", "off")], false, "example.org:443");
    check(
        &[("SERVER_NAME", "_"), ("SERVER_ADDR", "192.0.2.1")],
        false,
        "192.0.2.1",
    );
    check(&[("SERVER_NAME", "::1"), ("SERVER_PORT", "8080")], false, "[::1]:8080");
    check(&[("SERVER_NAME", ""), ("HTTP_HOST", "")], false, "localhost");
    check(&[("HTTPS", "")], false, "example.org");
}

#[test]
fn headers() {
    let variables = read(&[
        ("HTTP_IF_NONE_MATCH", "\"x\""),
        ("HTTP_ACCEPT", "first"),
        ("HTTP_ACCEPT", "last"),
        ("HTTP_PROXY", "http://evil.example"),
        ("HTTP_Proxy", "http://evil.example"),
        ("HTTP_Transfer-encoding", "chunked"),
        ("HTTP_CONNECTION", "close"),
        ("HTTP_TRANSFER_ENCODING", "chunked"),
        ("HTTP_CONTENT_LENGTH", "99"),
        ("CONTENT_LENGTH", "5"),
        ("CONTENT_TYPE", "text/xml"),
        ("DOCUMENT_ROOT", "/var/www"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
    ]);
    let mut names: Vec<&str> = variables.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "content-length", "content-type", "host", "if-none-match"]
    );
    assert_eq!(variables.headers["accept"], "last");
    assert_eq!(variables.headers["content-length"], "5");
    assert_eq!(variables.content_length, Some(5));
    assert_eq!(variables.client, Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(variables.version, Version::HTTP_2);

    assert_eq!(read(&[("CONTENT_LENGTH", "")]).content_length, None);
    assert_eq!(read(&[("REMOTE_ADDR", "unix:")]).client, None);
}

#[test]
fn what_is_no_request() {
    let check = |pairs: &[(&str, &str)], expect| {
        assert_eq!(Variables::read(params(pairs), "").unwrap_err(), expect, "{pairs:?}");
    };
    let (get, root) = (("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/"));
    check(&[root], VariablesError::Method);
    check(&[("REQUEST_METHOD", "G T"), root], VariablesError::Method);
    check(&[get], VariablesError::Uri);
    check(&[get, ("REQUEST_URI", "nonsense")], VariablesError::Uri);
    for length in ["-1", "+1", "1e3", "99999999999999999999999"] {
        check(&[get, root, ("CONTENT_LENGTH", length)], VariablesError::ContentLength);
    }
    check(&[get, root, ("HTTP_X\n", "a")], VariablesError::Header);
    check(&[get, root, ("HTTP_X", "a\r\nb: c")], VariablesError::Header);
}

proptest! {
    /// Whatever a web server sends: no panic, and nothing that could end a URL or a header.
    #[test]
    fn anything_goes(
        uri in "(/|%2F|%|[a-z.]|ß|\\?|#| |http://){0,12}",
        script_name in "(/|[a-z.]|ß|%| ){0,8}",
        path_info in prop::option::of("(/|[a-z.]|ß|%|\"){0,8}"),
        configured in prop::option::of("/[a-z]{0,2}"),
    ) {
        let path_info = path_info.as_deref().map(str::as_bytes);
        let target = Target::of(uri.as_bytes(), script_name.as_bytes(), path_info, b"", configured.as_deref());
        if let Some(target) = target {
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\".contains(&byte));
            prop_assert!(plain(&target.mount) && !has_dots(target.mount.as_bytes()), "{:?}", target);
            prop_assert!(target.uri.starts_with(&target.mount), "{:?}", target);
            if target.uri != "*" {
                prop_assert!(target.uri.starts_with('/') && Uri::try_from(&target.uri).is_ok(), "{:?}", target);
            }
        }
    }

    /// A path that was split by the book comes out as it was asked for.
    #[test]
    fn splits_are_undone(mount in "(/[a-zß%. ]{1,4}){0,3}", rest in "(/[a-zß%. ]{0,4}){1,4}") {
        prop_assume!(!has_dots(mount.as_bytes()));
        let (mount, rest) = (mount.as_bytes(), rest.as_bytes());
        let whole = [encode(mount, b""), encode(rest, b"")].concat();
        let target = Target::of(whole.as_bytes(), mount, Some(rest), b"", None).unwrap();
        prop_assert_eq!(target.uri, whole);
        prop_assert_eq!(target.mount, encode(mount, b""));
    }
}
