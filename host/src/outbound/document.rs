//! One document from an address that a user of the command line names: `mapproxy util`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, USER_AGENT};
use http_body_util::{BodyExt as _, Empty};
use wasmtime_wasi_http::WasiHttpHooks as _;

use super::{Origin, OriginKey, Outbound, OutboundLimits, Outgoing};

const TIMEOUT: Duration = Duration::from_mins(1);
/// Capabilities of the largest services have some 50 MB.
const MAX_DOCUMENT: u64 = 256 << 20;
const MAX_REDIRECTS: u32 = 5;

/// Fetches a document; redirects are followed. The error says what happened in place of an answer with status 200.
pub(crate) async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let outbound = Arc::new(Outbound::new(OutboundLimits {
        connect_timeout: TIMEOUT,
        read_timeout: TIMEOUT,
        max_body: MAX_DOCUMENT,
        idle_connections: 1,
    }));
    let mut uri: http::Uri = url.parse().map_err(|error| format!("this is no URL: {error}"))?;
    for _ in 0..=MAX_REDIRECTS {
        let response = get(&outbound, &uri).await?;
        let status = response.status();
        if status.is_redirection()
            && let Some(location) = response.headers().get(LOCATION)
        {
            let location = location.to_str().map_err(|error| error.to_string())?;
            uri = redirected(&uri, location).ok_or_else(|| format!("it is moved to `{location}`, which is no URL"))?;
            continue;
        }
        if status != http::StatusCode::OK {
            return Err(format!("the status is {status}"));
        }
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        return Ok(body.to_bytes().into());
    }
    Err(format!("it is moved more than {MAX_REDIRECTS} times"))
}

async fn get(
    outbound: &Arc<Outbound>,
    uri: &http::Uri,
) -> Result<http::Response<wasmtime_wasi_http::WasiBody>, String> {
    let key = OriginKey::of(uri).filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
    let key = key.ok_or_else(|| format!("`{uri}` is no URL of a web server"))?;
    let origin = Origin {
        key,
        no_cert_checks: false,
        ca_certs: None,
    };
    let upstreams = outbound.upstreams(vec![origin]).map_err(|error| format!("{error:#}"))?;
    let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::get(uri.clone())
        .header(USER_AGENT, concat!("mapproxy/", env!("CARGO_PKG_VERSION")))
        .body(body)
        .map_err(|error| error.to_string())?;
    let exchange = Outgoing::to(Arc::new(upstreams)).send_request(request, None, Box::new(std::future::ready(Ok(()))));
    let (response, _done) = Box::into_pin(exchange).await.map_err(|error| error.to_string())?;
    Ok(response)
}

/// Where a `Location` leads.
fn redirected(from: &http::Uri, location: &str) -> Option<http::Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let path = location.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(format!("/{path}").parse().ok()?);
    http::Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_followed_within_the_web() {
        let from: http::Uri = "http://a/b?c".parse().unwrap();
        let check = |location: &str, expect: Option<&str>| {
            let to = redirected(&from, location).map(|uri| uri.to_string());
            assert_eq!(to.as_deref(), expect, "{location}");
        };
        check("/d?e", Some("http://a/d?e"));
        check("https://x/y", Some("https://x/y"));
        check("//x/y", None);
        check("d", None);
    }
}
