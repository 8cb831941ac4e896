//! The proxy core.
