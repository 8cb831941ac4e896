//! What one instance may use.

use wasmtime::ResourceLimiter;

/// Refuses memory beyond a limit and remembers that it did: what the guest does next (Rust's allocator aborts) looks like
/// any other trap.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    max_bytes: usize,
    exceeded: bool,
}

impl MemoryLimit {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            exceeded: false,
        }
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether the guest ever asked for more than it may have.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.max_bytes && maximum.is_none_or(|maximum| desired <= maximum);
        self.exceeded |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}
