//! Tells the compiler where the demo page's bundle is: `MAPPROXY_DEMO_DIST`, see demo/README.md.

use std::path::Path;

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/dist");
    for file in ["demo.js", "demo.css"] {
        println!("cargo::rerun-if-changed={}", dist.join(file).display());
        if !dist.join(file).is_file() {
            println!("cargo::error=the demo page's `{file}` is not bundled yet: run `make demo`");
        }
    }
    println!("cargo::rustc-env=MAPPROXY_DEMO_DIST={}", dist.display());
}
