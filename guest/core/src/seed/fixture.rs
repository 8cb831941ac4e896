//! The seed configuration of the tests.

use std::collections::BTreeMap;

use crate::config::{Compiled, Outcome, compile_seed};

/// Compiles `mapproxy.yaml` and `seed.yaml` of a directory.
#[expect(clippy::disallowed_methods, reason = "reads a configuration of the tests")]
pub(super) fn compile(directory: &str) -> Compiled {
    from(directory, |path| std::fs::read(path).map_err(|error| error.to_string()))
}

/// Compiles these two texts as `/etc/mapproxy.yaml` and `/etc/seed.yaml`.
pub(super) fn compile_texts(mapproxy: &str, seed: &str) -> Compiled {
    from("/etc", |path| match path.rsplit('/').next() {
        Some("mapproxy.yaml") => Ok(mapproxy.as_bytes().to_vec()),
        Some("seed.yaml") => Ok(seed.as_bytes().to_vec()),
        _ => Err("no such file".to_owned()),
    })
}

fn from(directory: &str, read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Compiled {
    let mut files = BTreeMap::new();
    let (main, seed) = (format!("{directory}/mapproxy.yaml"), format!("{directory}/seed.yaml"));
    loop {
        match compile_seed(&main, &seed, &files, &BTreeMap::new()) {
            Outcome::Compiled(done) => return Compiled::open(done.bytes).unwrap(),
            Outcome::Need(paths) => {
                for path in paths {
                    let content = read(&path);
                    files.insert(path, content);
                }
            }
            Outcome::Problems(problems) => panic!("{problems:#?}"),
        }
    }
}
