//! The answer of an instance on its way to the client.
//!
//! The guest runs inside the task of its connection: no hand-over between threads for a request that never waits. Most
//! guests have ended when the head of their answer is sent; otherwise the body drives the guest further. When the client
//! leaves early, the guest goes on in a task of its own: half a meta tile fetched from a slow upstream is worth
//! finishing, and its locks on the cache are released.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::access_log::Entry;
use crate::instance::{Failure, LookedAt};

type GuestFuture = Pin<Box<dyn Future<Output = Result<Option<LookedAt>, Failure>> + Send>>;

/// A guest at work. Dropping it lets the guest finish on its own.
pub(super) struct Running {
    guest: Option<GuestFuture>,
    looked_at: Option<LookedAt>,
}

impl Running {
    /// `guest` makes the guest's future, which is thus never a part of that of the request.
    pub(super) fn new<F>(guest: impl FnOnce() -> F) -> Self
    where
        F: Future<Output = Result<Option<LookedAt>, Failure>> + Send + 'static,
    {
        Self {
            guest: Some(Box::pin(guest())),
            looked_at: None,
        }
    }

    /// Lets the guest work; ready when it has ended.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(guest) = &mut self.guest else {
            return Poll::Ready(Ok(()));
        };
        let ended = guest.as_mut().poll(context);
        if ended.is_ready() {
            self.guest = None;
        }
        ended.map_ok(|looked_at| self.looked_at = looked_at)
    }

    /// Lets the guest work to its end; returns the file it looked at last.
    pub(super) async fn end(&mut self) -> Result<Option<LookedAt>, Failure> {
        std::future::poll_fn(|context| self.poll(context)).await?;
        Ok(self.looked_at.take())
    }

    pub(super) fn ended(&self) -> bool {
        self.guest.is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(guest);
        }
    }
}

/// A body for hyper, counted for the access log.
pub(crate) struct AnswerBody {
    kind: Kind,
    entry: Option<Box<Entry>>,
}

enum Kind {
    Whole(Option<Bytes>),
    Streaming(Streaming),
}

/// A body whose guest may still be at work.
pub(super) struct Streaming {
    pub(super) running: Running,
    pub(super) body: HyperOutgoingBody,
    pub(super) failed: bool,
}

impl AnswerBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        let bytes = if bytes.is_empty() { None } else { Some(bytes) };
        Self {
            kind: Kind::Whole(bytes),
            entry: None,
        }
    }

    pub(super) fn streaming(streaming: Streaming) -> Self {
        Self {
            kind: Kind::Streaming(streaming),
            entry: None,
        }
    }

    pub(super) fn logged(mut self, entry: Option<Box<Entry>>) -> Self {
        self.entry = entry;
        self
    }
}

impl Streaming {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.running.ended()
            && let Poll::Ready(Err(_logged)) = self.running.poll(context)
        {
            self.failed = true;
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            // A body cut short must not look complete.
            Poll::Ready(None) if self.failed => Poll::Ready(Some(Err(Error::ConnectionTerminated))),
            other => other,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = match &mut this.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Streaming(streaming) => streaming.poll(context),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(entry)) = (&frame, &mut this.entry) {
            entry.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.kind, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Streaming(streaming) => streaming.body.size_hint(),
        }
    }
}

/// The body of a guest that has ended, in one piece; `None` where the guest gave it up.
///
/// Nobody can send any more; but a task that has done much is made to give way by tokio, and then even what is there is
/// pending for a moment.
pub(super) async fn collect(mut body: HyperOutgoingBody) -> Option<Bytes> {
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        match &first {
            None => first = Some(data),
            Some(start) => {
                if more.is_empty() {
                    more.extend_from_slice(start);
                }
                more.extend_from_slice(&data);
            }
        }
    }
    if more.is_empty() {
        Some(first.unwrap_or_default())
    } else {
        Some(more.freeze())
    }
}

/// Lets the guest work to its end and counts the body that nobody wants (HEAD).
pub(super) async fn count(mut streaming: Streaming) -> Option<u64> {
    let mut total = 0;
    loop {
        let frame = std::future::poll_fn(|context| streaming.poll(context)).await;
        match frame {
            Some(Ok(frame)) => total += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => return None,
            None => return Some(total),
        }
    }
}
