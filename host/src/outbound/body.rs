//! The body of an upstream's answer on its way to the guest: a limit on its size, on the pauses within, and gzip undone.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, Sleep, sleep};
use tracing::warn;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::request_span::in_span;

/// Compressed bytes fed to the decoder at once. Deflate expands at most 1032 times, so this bounds one step to 17 MB.
const STEP: usize = 16 << 10;

/// Wraps the body of `response`. With `decode`, gzip is undone and the headers that spoke of it are removed.
pub(super) fn prepare<B>(
    mut response: http::Response<B>,
    pause: Duration,
    max_bytes: u64,
    decode: bool,
) -> Result<http::Response<WasiBody>, Error>
where
    B: Body<Data = Bytes, Error = Error> + Unpin + Send + 'static,
{
    let gzip = decode && is_gzip(response.headers());
    if gzip {
        response.headers_mut().remove(CONTENT_ENCODING);
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if response.body().size_hint().lower() > max_bytes {
        let size = response.body().size_hint().lower();
        in_span(|| warn!(size, max_bytes, "the answer of an upstream is too large"));
        return Err(Error::HttpResponseBodySize(Some(size)));
    }
    Ok(response.map(|inner| {
        let decoder = gzip.then(|| Box::new(MultiGzDecoder::new(Vec::new())));
        let limited = UpstreamBody {
            inner,
            pause,
            timer: None,
            left: max_bytes,
            max_bytes,
            pending: Bytes::new(),
            decoder,
            ended: false,
        };
        limited.boxed_unsync()
    }))
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|value| {
        value.as_bytes().eq_ignore_ascii_case(b"gzip") || value.as_bytes().eq_ignore_ascii_case(b"x-gzip")
    })
}

struct UpstreamBody<B> {
    inner: B,
    pause: Duration,
    /// Runs while we wait for the next piece.
    timer: Option<Pin<Box<Sleep>>>,
    left: u64,
    max_bytes: u64,
    /// Compressed bytes that the decoder has not seen yet.
    pending: Bytes,
    decoder: Option<Box<MultiGzDecoder<Vec<u8>>>>,
    ended: bool,
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> UpstreamBody<B> {
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(frame);
        }
        let pause = self.pause;
        let timer = self.timer.get_or_insert_with(|| {
            let mut timer = Box::pin(sleep(pause));
            timer.as_mut().reset(Instant::now() + pause);
            timer
        });
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    /// Counts what goes to the guest.
    fn take(&mut self, data: &Bytes) -> Result<(), Error> {
        if let Some(left) = self.left.checked_sub(data.len() as u64) {
            self.left = left;
            return Ok(());
        }
        self.ended = true;
        in_span(|| warn!(max_bytes = self.max_bytes, "the answer of an upstream is too large"));
        Err(Error::HttpResponseBodySize(Some(self.max_bytes)))
    }

    /// Decodes a step of `pending`; `None` when it gave nothing.
    fn decode(&mut self) -> Option<Result<Bytes, Error>> {
        let decoder = self.decoder.as_mut()?;
        let step = self.pending.split_to(self.pending.len().min(STEP));
        if decoder.write_all(&step).and_then(|()| decoder.flush()).is_err() {
            return Some(Err(broken()));
        }
        let out = std::mem::take(decoder.get_mut());
        (!out.is_empty()).then(|| Ok(Bytes::from(out)))
    }

    fn finish(&mut self) -> Option<Result<Bytes, Error>> {
        let mut decoder = self.decoder.take()?;
        if decoder.try_finish().is_err() {
            return Some(Err(broken()));
        }
        let out = std::mem::take(decoder.get_mut());
        (!out.is_empty()).then(|| Ok(Bytes::from(out)))
    }
}

fn broken() -> Error {
    Error::HttpResponseContentCoding(Some("gzip".to_owned()))
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for UpstreamBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            let decoded = if this.pending.has_remaining() {
                this.decode()
            } else {
                match ready!(this.poll_inner(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) if this.decoder.is_some() => {
                            this.pending = data;
                            continue;
                        }
                        Ok(data) => Some(Ok(data)),
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    Some(Err(error)) => {
                        this.ended = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {
                        let last = this.finish();
                        this.ended = true;
                        last
                    }
                }
            };
            match decoded {
                None => {}
                Some(Ok(data)) => {
                    let counted = this.take(&data).map(|()| Frame::data(data));
                    return Poll::Ready(Some(counted));
                }
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::Full;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn read(body: Vec<u8>, encoding: &str, max: u64) -> Result<Vec<u8>, Error> {
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
        let response = http::Response::builder()
            .header(CONTENT_ENCODING, encoding)
            .body(body)
            .unwrap();
        let response = prepare(response, Duration::from_secs(1), max, true)?;
        Ok(response.into_body().collect().await?.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn gzip_is_undone() {
        let text = "capabilities ".repeat(10_000).into_bytes();
        assert_eq!(read(gzip(&text), "gzip", 1 << 20).await.unwrap(), text);
        assert_eq!(read(text.clone(), "identity", 1 << 20).await.unwrap(), text);
        assert_eq!(read(Vec::new(), "identity", 0).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn the_limit_counts_decoded_bytes() {
        let bomb = gzip(&vec![0; 4 << 20]);
        assert!(bomb.len() < 64 << 10);
        assert!(matches!(
            read(bomb, "gzip", 1 << 20).await,
            Err(Error::HttpResponseBodySize(_))
        ));
        assert!(matches!(
            read(vec![0; 100], "identity", 99).await,
            Err(Error::HttpResponseBodySize(_))
        ));
    }

    #[tokio::test]
    async fn damaged_gzip_is_an_error() {
        let mut bytes = gzip(b"capabilities");
        bytes.truncate(bytes.len() - 6);
        assert!(matches!(
            read(bytes, "gzip", 1 << 20).await,
            Err(Error::HttpResponseContentCoding(_))
        ));
        assert!(matches!(
            read(b"<html>".to_vec(), "gzip", 1 << 20).await,
            Err(Error::HttpResponseContentCoding(_))
        ));
    }
}
