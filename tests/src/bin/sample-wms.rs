//! The sample WMS as a program: `sample-wms [ADDRESS:PORT]`, by default `127.0.0.1:0`.
#![expect(clippy::print_stdout, reason = "the address is what a script waits for")]

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use mapproxy_tests::sample::SampleWms;

fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address: SocketAddr = address
        .parse()
        .with_context(|| format!("`{address}` is not an address such as `127.0.0.1:8090`"))?;
    let server = SampleWms::start_on(address)?;
    println!("listening on {}", server.url());
    loop {
        std::thread::park();
    }
}
