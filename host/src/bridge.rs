//! MapServer as an upstream (MapProxy: `client/cgi.py`): HTTP on one side, a CGI program on the other.
//!
//! An instance can ask servers, not run programs. So that its `mapserver` sources work, the component asks them at
//! addresses such as `http://2f6574632f6d61702e6d6170.mapserver.invalid/`, whose name is the map file in hexadecimal
//! digits: the list of origins that an instance may ask is then also the list of map files that are used. With
//! `--mapserver-binary` such an origin is this bridge. It listens nowhere: a connection is a pair of streams in memory.

mod cgi;

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// Names that end so are map files. `.invalid` is nobody's (RFC 2606).
const DOMAIN: &str = ".mapserver.invalid";

/// Bytes on their way in a connection.
const PIPE: usize = 64 << 10;

/// Runs one program for the map files of configurations.
pub(crate) struct Bridge {
    program: cgi::Program,
    /// one for each process that may run at the same time
    places: Semaphore,
}

impl Bridge {
    /// `binary` answers CGI requests within `time`, with at most `max_answer` bytes.
    pub(crate) fn new(binary: &Path, time: Duration, max_answer: u64) -> Result<Self> {
        let binary = binary
            .canonicalize()
            .with_context(|| format!("`--mapserver-binary {}`", binary.display()))?;
        ensure!(
            binary.is_file(),
            "`--mapserver-binary {}` is no program",
            binary.display()
        );
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            program: cgi::Program {
                binary,
                time,
                max_answer,
            },
            places: Semaphore::new(2 * processors),
        })
    }

    /// A connection to the server of this map file.
    pub(crate) fn connect(self: &Arc<Self>, map_file: PathBuf) -> DuplexStream {
        let (client, server) = tokio::io::duplex(PIPE);
        let bridge = Arc::clone(self);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (bridge, map_file) = (Arc::clone(&bridge), map_file.clone());
                async move { Ok::<_, Infallible>(bridge.answer(&map_file, &request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
            if let Err(error) = connection.await {
                debug!(%error, "a connection to MapServer ended");
            }
        });
        client
    }

    async fn answer(&self, map_file: &Path, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "MapServer is asked with GET");
        }
        let Ok(_place) = self.places.acquire().await else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "MapServer is not asked any more");
        };
        let query = request.uri().query().unwrap_or_default();
        match self.program.run(map_file, query).await {
            Ok(answer) => answer.map(Full::new),
            Err(error) => {
                warn!(map_file = %map_file.display(), %error, "MapServer failed");
                refusal(StatusCode::BAD_GATEWAY, "MapServer failed, the log says why")
            }
        }
    }
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// The map file that the name of a server stands for.
pub(crate) fn map_file(host: &str) -> Option<PathBuf> {
    let digits: Vec<u8> = host
        .strip_suffix(DOMAIN)?
        .bytes()
        .filter(|byte| *byte != b'.')
        .collect();
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let value = |digit: u8| char::from(digit).to_digit(16);
    let bytes = pairs
        .iter()
        .map(|[high, low]| u8::try_from(value(*high)? << 4 | value(*low)?).ok())
        .collect::<Option<Vec<u8>>>()?;
    Some(PathBuf::from(OsString::from_vec(bytes))).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_servers_are_map_files() {
        let check = |host: &str, expect: Option<&str>| {
            assert_eq!(map_file(host).as_deref(), expect.map(Path::new), "{host}");
        };
        check("2f612e6d6170.mapserver.invalid", Some("/a.map"));
        check("2f61.2e6d6170.mapserver.invalid", Some("/a.map"));
        check("612e6d6170.mapserver.invalid", None);
        check("2f6.mapserver.invalid", None);
        check("2fzz.mapserver.invalid", None);
        check(".mapserver.invalid", None);
        check("example.com", None);
    }
}
