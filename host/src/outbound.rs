//! What an instance may reach over HTTP, and how: `wasi:http/outgoing-handler`.
//!
//! An application's configuration names its upstream servers; those origins (scheme, host, port) can be asked and nothing
//! else. Redirects are the guest's business: their target has to be an origin of the application too.

mod body;
mod connect;
mod document;
mod pool;
mod tls;

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::header::{ACCEPT_ENCODING, HeaderValue};
use hyper_util::client::proxy::matcher::Matcher;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(crate) use self::document::fetch;
pub(crate) use self::pool::Timeouts;
use self::pool::Upstream;
use crate::bridge::Bridge;
use crate::request_span::{self, in_span};

/// Settings and shared state of everything outbound.
pub(crate) struct Outbound {
    limits: OutboundLimits,
    proxies: Matcher,
    /// what answers for the map files of `mapserver` sources
    bridge: Option<Arc<Bridge>>,
    roots: tls::SystemRoots,
}

/// Bounds the host sets, whatever the guest asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboundLimits {
    /// Longest wait for a connection, TLS included.
    pub(crate) connect_timeout: Duration,
    /// Longest wait for the head of an answer, and between two pieces of its body.
    pub(crate) read_timeout: Duration,
    /// Largest body of an answer in bytes, after decompression.
    pub(crate) max_body: u64,
    /// Connections kept open for later requests, for each origin.
    pub(crate) idle_connections: usize,
}

/// A server an application may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) key: OriginKey,
    /// Accept any certificate.
    pub(crate) no_cert_checks: bool,
    /// PEM file with the roots to trust in place of the system's.
    pub(crate) ca_certs: Option<String>,
}

/// What makes two URLs the same origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct OriginKey {
    pub(crate) https: bool,
    /// Lower case, IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl OriginKey {
    fn of(uri: &http::Uri) -> Option<Self> {
        let https = uri.scheme_str()? == "https";
        let host = uri
            .host()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self { https, host, port })
    }
}

impl std::fmt::Display for OriginKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        if self.host.contains(':') {
            write!(out, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// The origins of one application, with their connections.
pub(crate) struct Upstreams {
    outbound: Option<Arc<Outbound>>,
    by_origin: HashMap<OriginKey, Arc<Upstream>>,
}

impl Outbound {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` from the environment, as curl does.
    pub(crate) fn new(limits: OutboundLimits) -> Self {
        Self {
            limits,
            proxies: Matcher::from_env(),
            bridge: None,
            roots: tls::SystemRoots::default(),
        }
    }

    /// The same with MapServer, where there is one.
    pub(crate) fn with_mapserver(self, binary: Option<&Path>) -> Result<Self> {
        let bridge = binary.map(|binary| Bridge::new(binary, self.limits.read_timeout, self.limits.max_body));
        Ok(Self {
            bridge: bridge.transpose()?.map(Arc::new),
            ..self
        })
    }

    /// The upstreams of one application. Fails where a file of certificates cannot be used.
    pub(crate) fn upstreams(self: &Arc<Self>, origins: Vec<Origin>) -> Result<Upstreams> {
        let mut by_origin = HashMap::with_capacity(origins.len());
        for origin in origins {
            let tls = if origin.key.https {
                let config = tls::client_config(&self.roots, origin.no_cert_checks, origin.ca_certs.as_deref());
                Some(config.with_context(|| format!("failed to set up TLS for `{}`", origin.key))?)
            } else {
                None
            };
            let upstream = Upstream::new(origin.key.clone(), tls);
            by_origin.insert(origin.key, Arc::new(upstream));
        }
        Ok(Upstreams {
            outbound: Some(Arc::clone(self)),
            by_origin,
        })
    }
}

/// Sees every exchange of an instance, and may hold it back.
pub(crate) trait Gate: Send + Sync {
    /// Returns when a request may be sent, or an error if it may not be for a while.
    fn admit<'a>(&'a self, origin: &'a OriginKey) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

    /// What came of it: the status and headers of the answer, `None` where there was none.
    fn answered(&self, origin: &OriginKey, answer: Option<(http::StatusCode, &http::HeaderMap)>, elapsed: Duration);
}

/// The outgoing side of one instance.
pub(crate) struct Outgoing {
    upstreams: Arc<Upstreams>,
    gate: Option<Arc<dyn Gate>>,
}

impl Outgoing {
    pub(crate) fn to(upstreams: Arc<Upstreams>) -> Self {
        Self { upstreams, gate: None }
    }

    /// The same with a gate.
    pub(crate) fn through(self, gate: Arc<dyn Gate>) -> Self {
        Self {
            gate: Some(gate),
            ..self
        }
    }

    /// For an instance that may reach nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            upstreams: Arc::new(Upstreams {
                outbound: None,
                by_origin: HashMap::new(),
            }),
            gate: None,
        }
    }
}

type Exchange = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Outgoing {
    /// Pieces of an answer's body that wait for the client while the guest goes on: with room for a whole map most
    /// guests have ended, and given back their memory, before the first byte is sent.
    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        16
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Exchange, Error>> + Send> {
        let target = OriginKey::of(request.uri()).and_then(|key| self.upstreams.by_origin.get_key_value(&key));
        let (Some((key, upstream)), Some(outbound)) = (target, &self.upstreams.outbound) else {
            let key = OriginKey::of(request.uri())
                .map(|key| key.to_string())
                .unwrap_or_default();
            in_span(|| warn!(origin = %key, "the instance asked for an origin that its configuration does not name"));
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let limits = outbound.limits;
        let options = options.unwrap_or_default();
        let read = options
            .first_byte_timeout
            .unwrap_or(limits.read_timeout)
            .min(limits.read_timeout);
        let between = options
            .between_bytes_timeout
            .unwrap_or(limits.read_timeout)
            .min(limits.read_timeout);
        let timeouts = Timeouts {
            connect: options
                .connect_timeout
                .unwrap_or(limits.connect_timeout)
                .min(limits.connect_timeout),
            first_byte: read,
            between_bytes: between,
        };

        // Maps compress badly, capabilities, GeoJSON and feature info well; the guest never sees the difference.
        let decode = !request.headers().contains_key(ACCEPT_ENCODING);
        if decode {
            request
                .headers_mut()
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let span =
            tracing::debug_span!("upstream", origin = %key, method = %request.method(), path = request.uri().path());
        let outbound = Arc::clone(outbound);
        let upstream = Arc::clone(upstream);
        let gate = self.gate.clone();
        Box::new(request_span::inherit(tracing::Instrument::instrument(
            async move {
                if let Some(gate) = &gate {
                    gate.admit(&upstream.key).await?;
                }
                let started = std::time::Instant::now();
                let result = pool::send(&outbound, &upstream, request, timeouts).await;
                match &result {
                    Ok(response) => {
                        debug!(status = response.status().as_u16(), elapsed = ?started.elapsed(), "answered");
                    }
                    Err(error) => debug!(%error, elapsed = ?started.elapsed(), "failed"),
                }
                if let Some(gate) = &gate {
                    let answer = result.as_ref().ok();
                    let answer = answer.map(|response| (response.status(), response.headers()));
                    gate.answered(&upstream.key, answer, started.elapsed());
                }
                let response = body::prepare(result?, timeouts.between_bytes, limits.max_body, decode)?;
                let done: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(std::future::ready(Ok(())));
                Ok((response, done))
            },
            span,
        )))
    }
}

#[cfg(test)]
mod tests;
