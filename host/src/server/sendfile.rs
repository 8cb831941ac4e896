//! Answers that name a file in place of a body (the contract is in `wit/mapproxy.wit`): the bytes of a cached tile need
//! not pass through the memory of an instance.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};

use crate::directories::Directories;
use crate::instance::LookedAt;

const SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");
const SENDFILE_TYPE: HeaderName = HeaderName::from_static("x-sendfile-type");

/// The file `response` names; the header goes, for it is nobody's business outside.
pub(super) fn take<B>(response: &mut Response<B>) -> Option<PathBuf> {
    let path = response.headers_mut().remove(SENDFILE)?;
    Some(PathBuf::from(OsStr::from_bytes(path.as_bytes())))
}

/// The content of the file; `None` where it is gone or not the guest's to read.
pub(super) fn read(directories: &Directories, path: &Path, looked_at: Option<LookedAt>) -> Option<Bytes> {
    let content = directories.read(path, looked_at);
    content
        .inspect_err(|error| tracing::debug!(path = %path.display(), %error, "the file of an answer cannot be read"))
        .ok()
        .map(Bytes::from)
}

/// What a client says about sending files is not for the guest.
pub(super) fn allow(headers: &mut HeaderMap) {
    headers.remove(SENDFILE_TYPE);
}

/// Asks the guest for the bytes.
pub(super) fn refuse(headers: &mut HeaderMap) {
    headers.insert(SENDFILE_TYPE, HeaderValue::from_static("none"));
}
