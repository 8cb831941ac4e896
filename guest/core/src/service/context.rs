//! What a service is handed with a request: the configuration's pieces on demand, and where clients see us.

use std::rc::Rc;

use crate::assemble::Assembly;
use crate::config::compiled::Compiled;
use crate::config::model::Application;
use crate::http::Request;
use crate::platform::Platform;
use crate::request::PublicAddress;

/// One request on its way through a service. Everything is read and built when it is first asked for.
#[derive(Debug)]
pub struct Context<'a> {
    pub platform: &'a Rc<dyn Platform>,
    pub compiled: &'a Rc<Compiled>,
    pub assembly: &'a Assembly,
    pub application: &'a Application,
    pub request: &'a Request,
    /// public address, and the path behind the mount prefix
    pub address: PublicAddress<'a>,
}

impl Context<'_> {
    /// The path behind the mount prefix, still percent-encoded.
    pub fn path(&self) -> &str {
        self.address.path()
    }

    /// `http://example.org/prefix`, without a slash at the end.
    pub fn script_url(&self) -> String {
        self.address.script_url()
    }

    /// The URL of this request without its query: `http://example.org/prefix/tms/1.0.0`. Percent-encoded as it came, so
    /// it still has to be escaped where it is written into a document.
    pub fn request_url(&self) -> String {
        format!("{}{}", self.address.script_url(), self.address.path())
    }
}
