//! Where the component comes from and how its machine code gets into the engine.
//!
//! A release binary carries the component behind its own code, compiled ahead of time (`mapproxy embed`):
//!
//! ```text
//! executable | component (.wasm) | machine code (.cwasm) | footer: two lengths, digest of the component, magic
//! ```
//!
//! Otherwise the component is a file; compiling takes seconds, so the result is kept in a private directory. Machine
//! code is trusted input: it is read from our own executable and from a directory that only this user can write.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use tracing::{debug, info, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::replace::replace;

const MAGIC: &[u8; 16] = b"mapproxy.bundle1";
const FOOTER_LEN: u64 = 8 + 8 + 32 + 16;

/// Loads the component: the given file, else the one in this executable, else `mapproxy.wasm` beside it.
pub(crate) fn load(engine: &Engine, path: Option<&Path>) -> Result<Component> {
    let executable = std::env::current_exe().context("failed to find the path of this executable")?;
    if let Some(path) = path {
        return load_file(engine, path);
    }
    if let Some(bundle) = Bundle::open(&executable)? {
        return bundle.load(engine);
    }
    let beside = executable.with_file_name("mapproxy.wasm");
    ensure!(
        beside.exists(),
        "this executable carries no component and there is no `{}`; give one with `--component`",
        beside.display()
    );
    load_file(engine, &beside)
}

fn load_file(engine: &Engine, path: &Path) -> Result<Component> {
    let wasm = fs::read(path).with_context(|| format!("failed to read the component `{}`", path.display()))?;
    load_wasm(engine, &wasm).with_context(|| format!("failed to load the component `{}`", path.display()))
}

/// Compiles `wasm`, or takes the machine code from the cache.
fn load_wasm(engine: &Engine, wasm: &[u8]) -> Result<Component> {
    let Some(directory) = cache_directory() else {
        return Ok(Component::new(engine, wasm)?);
    };
    let file = directory.join(format!(
        "{}-{:016x}.cwasm",
        hex(&Sha256::digest(wasm)),
        compatibility(engine)
    ));
    if file.exists() {
        match deserialize_file(engine, &file) {
            Ok(component) => {
                debug!(file = %file.display(), "compiled component taken from the cache");
                return Ok(component);
            }
            Err(error) => warn!(file = %file.display(), %error, "compiled component in the cache is unusable"),
        }
    }
    info!("compiling the component, once");
    let component = Component::new(engine, wasm)?;
    if let Err(error) = replace(&file, &component.serialize()?, 0o600) {
        warn!(file = %file.display(), %error, "failed to keep the compiled component; the next start compiles again");
    }
    Ok(component)
}

/// Writes a copy of this executable that carries the component, compiled ahead of time.
pub(crate) fn embed(engine: &Engine, component: &Path, output: &Path) -> Result<()> {
    let wasm =
        fs::read(component).with_context(|| format!("failed to read the component `{}`", component.display()))?;
    let compiled = engine.precompile_component(&wasm).map_err(anyhow::Error::from)?;

    let executable = std::env::current_exe()?;
    let mut bytes = fs::read(&executable)?;
    if let Some(bundle) = Bundle::open(&executable)? {
        bytes.truncate(usize::try_from(bundle.offset)?);
    }
    bytes.extend_from_slice(&wasm);
    bytes.extend_from_slice(&compiled);
    bytes.extend_from_slice(&(wasm.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(compiled.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(&wasm));
    bytes.extend_from_slice(MAGIC);

    replace(output, &bytes, 0o755).with_context(|| format!("failed to write `{}`", output.display()))?;
    // Whatever the umask: it is a program like the one it is a copy of.
    fs::set_permissions(output, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The component behind an executable's own code.
struct Bundle {
    file: File,
    /// Where the executable itself ends.
    offset: u64,
    wasm_len: u64,
    compiled_len: u64,
}

impl Bundle {
    fn open(executable: &Path) -> Result<Option<Self>> {
        let mut file = File::open(executable)?;
        let size = file.metadata()?.len();
        let Some(footer_at) = size.checked_sub(FOOTER_LEN) else {
            return Ok(None);
        };
        let mut wasm_len = [0; 8];
        let mut compiled_len = [0; 8];
        let mut digest = [0; 32];
        let mut magic = [0; 16];
        file.seek(SeekFrom::Start(footer_at))?;
        for part in [&mut wasm_len[..], &mut compiled_len, &mut digest, &mut magic] {
            file.read_exact(part)?;
        }
        if &magic != MAGIC {
            return Ok(None);
        }
        let wasm_len = u64::from_le_bytes(wasm_len);
        let compiled_len = u64::from_le_bytes(compiled_len);
        let offset = footer_at
            .checked_sub(compiled_len)
            .and_then(|rest| rest.checked_sub(wasm_len));
        let Some(offset) = offset else {
            bail!("the component bundled in `{}` is damaged", executable.display())
        };
        Ok(Some(Self {
            file,
            offset,
            wasm_len,
            compiled_len,
        }))
    }

    fn load(mut self, engine: &Engine) -> Result<Component> {
        let compiled = self.read(self.offset + self.wasm_len, self.compiled_len)?;
        match deserialize(engine, &compiled) {
            Ok(component) => Ok(component),
            // The machine that compiled it had a CPU with more features than this one.
            Err(error) => {
                info!(%error, "the bundled machine code does not fit this machine, compiling the component");
                let wasm = self.read(self.offset, self.wasm_len)?;
                load_wasm(engine, &wasm)
            }
        }
    }

    fn read(&mut self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len)?];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[expect(unsafe_code, reason = "the bytes were written by `embed` into this executable")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `compiled` is the unmodified output of `Engine::precompile_component`; who can change our executable can
    // run any code anyway. Version and settings of the engine are checked by `deserialize`.
    unsafe { Component::deserialize(engine, compiled) }
}

#[expect(unsafe_code, reason = "the file lies in a directory only this user can write")]
fn deserialize_file(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `cache_directory` gives only a directory that belongs to this user and that nobody else can write, and
    // files get there by a rename of complete output of `Component::serialize`.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Differs between engines whose machine code is not interchangeable.
fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// The private directory for machine code; `None` (with a warning) where there is none that can be trusted.
fn cache_directory() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| Path::new(value).is_absolute()) {
        Some(base) => PathBuf::from(base),
        None => Path::new(&std::env::var_os("HOME")?).join(".cache"),
    };
    let directory = base.join("mapproxy").join("code");
    match prepare_private(&directory) {
        Ok(()) => Some(directory),
        Err(error) => {
            warn!(directory = %directory.display(), error = %format!("{error:#}"), "compiled code is not kept");
            None
        }
    }
}

fn prepare_private(directory: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = fs::symlink_metadata(directory)?;
    ensure!(metadata.is_dir(), "not a directory");
    ensure!(
        metadata.uid() == rustix::process::geteuid().as_raw(),
        "the directory belongs to another user"
    );
    ensure!(metadata.mode() & 0o022 == 0, "others can write to the directory");
    Ok(())
}

/// Two digits for each byte, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_file_is_no_bundle() {
        let executable = std::env::current_exe().unwrap();
        assert!(Bundle::open(&executable).unwrap().is_none());
    }

    #[test]
    fn a_directory_others_can_write_is_refused() {
        let directory = std::env::temp_dir().join(format!("mapproxy-cache-{}", std::process::id()));
        prepare_private(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(prepare_private(&directory).is_err());
        fs::remove_dir(&directory).unwrap();
    }
}
