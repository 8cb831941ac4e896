//! The wasmtime engine, tuned for one fresh instance per request, and the clock that interrupts guests.
//!
//! Numbers behind the settings (CPU per trivial request, two threads): allocator defaults 255 us; kept-resident memory
//! without `pagemap_scan` 313 us; with both 45 us.

use std::time::Duration;

use anyhow::{Context as _, Result};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// How often a running guest gives way to other requests on its thread, and so how exact a deadline is for a guest that
/// computes without pause.
const TICK: Duration = Duration::from_millis(5);

/// Linear memory that stays mapped between two instances; what lies above is given back to the kernel.
const MEMORY_KEEP_RESIDENT: usize = 4 << 20;
const TABLE_KEEP_RESIDENT: usize = 64 << 10;
const STACK_KEEP_RESIDENT: usize = 64 << 10;

/// Rust's recursion in image decoders and the configuration compiler needs more than wasmtime's 512 KiB.
const WASM_STACK: usize = 1 << 20;
const ASYNC_STACK: usize = 2 << 20;

/// Limits of the engine as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineLimits {
    /// Instances that can exist at the same time.
    pub(crate) instances: u32,
    /// Linear memory of one instance, in bytes.
    pub(crate) max_memory: usize,
}

/// Builds the engine. Everything that changes the machine code is fixed here, so that code compiled by one process
/// (`mapproxy embed`, the cache) fits every other of the same version.
pub(crate) fn build(limits: EngineLimits) -> Result<Engine> {
    let count = limits.instances.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .async_stack_keep_resident(STACK_KEEP_RESIDENT)
        // A used slot is faster than an untouched one: its pages are mapped already.
        .max_unused_warm_slots(count)
        .max_memory_size(limits.max_memory)
        .max_memories_per_component(4)
        .max_tables_per_component(8)
        .max_core_instances_per_component(32)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .total_memories(count)
        .total_stacks(count)
        .total_component_instances(count)
        .total_tables(count.saturating_mul(2))
        .total_core_instances(count.saturating_mul(8));

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true);
    // For `perf report` (CONTRIBUTING.md): names of the guest's functions in `/tmp/perf-PID.map`.
    if std::env::var_os("MAPPROXY_PERF_MAP").is_some() {
        config.profiler(wasmtime::ProfilingStrategy::PerfMap);
    }
    Engine::new(&config)
        .map_err(anyhow::Error::from)
        .context("failed to set up the WebAssembly engine")
}

/// Advances the engine's epoch for as long as the process lives.
pub(crate) fn start_clock(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .context("failed to start the clock thread")?;
    Ok(())
}
