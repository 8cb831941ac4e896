//! The sample WMS, and what the end-to-end tests stand on.

pub mod answers;
pub mod command;
pub mod endurance;
pub mod fastcgi;
pub mod images;
pub mod sample;
pub mod schemas;
pub mod server;
pub mod site;
pub mod webserver;
