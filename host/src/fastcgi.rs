//! FastCGI (FastCGI Specification 1.0): web servers hand us their clients' requests, we are a responder.
//!
//! `codec` knows records, `variables` knows what web servers say about a request, `responder` serves a connection. The
//! request itself is answered where those of HTTP are, in `server/request.rs`.

mod codec;
mod responder;
mod variables;

pub(crate) use self::responder::serve_connection;
