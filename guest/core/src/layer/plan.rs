//! Maps in two steps: what has to be asked of servers, and what becomes of the answers.
//!
//! A component has one thread, so servers are asked concurrently in one place only,
//! [`HttpClient::send_all`](crate::platform::HttpClient::send_all). A layer that needs servers says so with a
//! [`Plan`]; `client::get_maps` collects the requests of all layers of a map (or of all sources of several meta
//! tiles), sends them together, and hands the answers back.

use std::rc::Rc;

use crate::http::{HttpFailure, HttpReply, HttpRequest};
use crate::image::MapImage;

use super::LayerError;

/// A request to a server, with what limits how many may be under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub request: HttpRequest,
    pub slots: Option<Slots>,
    pub session: Option<Rc<Session>>,
}

/// `concurrent_requests` of a source: counted over all instances and processes with lock files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// path of the lock files without the number at their end
    pub base: String,
    pub count: u32,
}

/// What lasts between the requests to a server, see `client/session.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// user and password, for when the server asks for them
    pub credentials: Option<(String, String)>,
    /// cookies are kept and sent (`manage_cookies`)
    pub cookies: bool,
    /// path of the files in which it is kept, without what tells them apart
    pub base: String,
}

/// How a layer comes to its map.
#[derive(Debug)]
pub enum Plan {
    /// It has it, or knows that there is nothing.
    Done(Option<Box<MapImage>>),
    /// Servers have to be asked.
    Ask(Box<dyn PendingMap>),
}

/// A map that waits for answers.
pub trait PendingMap: std::fmt::Debug {
    /// What to ask. Called once.
    fn take_requests(&mut self) -> Vec<Upstream>;

    /// The map; `replies` in the order of the requests.
    fn finish(self: Box<Self>, replies: Vec<Result<HttpReply, HttpFailure>>) -> Result<Option<MapImage>, LayerError>;
}
