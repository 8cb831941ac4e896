//! Compresses the demo page's bundle for the core to carry, see demo/README.md.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this runs where the core is built, not where it serves"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

fn main() -> std::io::Result<()> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/dist");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    for file in ["demo.js", "demo.css"] {
        let source = dist.join(file);
        println!("cargo::rerun-if-changed={}", source.display());
        let Ok(content) = std::fs::read(&source) else {
            println!("cargo::error=the demo page's `{file}` is not bundled yet: run `make demo`");
            continue;
        };
        // without name and time: the same bundle gives the same component
        let target = File::create(out.join(format!("{file}.gz")))?;
        let mut encoder = GzBuilder::new().write(target, Compression::best());
        encoder.write_all(&content)?;
        encoder.finish()?;
    }
    Ok(())
}
