//! How wasmtime is set up: which WASM is allowed, how code is compiled, how much address space instances may have.
//!
//! It is apart because each line is a decision about safety or speed, and no line concerns a single guest. It must not know
//! programs.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

use crate::guest::{GuestError, GuestErrorKind};

/// Most memory that any instance can ever have; plugins' own limits lie below.
pub(super) const MOST_MEMORY: usize = 256 << 20;
/// WASM stack of one call: recursion deeper than this traps.
const STACK: usize = 512 << 10;
/// The stack beneath it, which also carries host functions.
const ASYNC_STACK: usize = 1 << 20;
/// Plugins that may have all their slots in use at once before the pool is full.
const FULL_PLUGINS: usize = 16;
/// Pages that a freed slot keeps for its next use, in bytes: those that were written, and no others, are wiped.
const KEPT: usize = 2 << 20;

/// An engine. Instances come from a pool; where the machine does not give the pool's address space, from plain memory.
pub(super) fn engine(slots: usize) -> Result<Engine, GuestError> {
    let mut pooled = config();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    Engine::new(&pooled).or_else(|narrow| {
        tracing::warn!(error = %narrow, "no address space for a pool of WASM instances: they will be slower to make");
        Engine::new(&config())
            .map_err(|error| GuestError::new(GuestErrorKind::Load, format!("wasmtime cannot be set up on this machine: {error:#}")))
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .max_wasm_stack(STACK)
        .async_stack_size(ASYNC_STACK)
        .generate_address_map(false);
    config
}

/// Instances that there is room for.
fn total(slots: usize) -> u32 {
    u32::try_from(slots.saturating_mul(FULL_PLUGINS).clamp(128, 1024)).unwrap_or(1024)
}

/// How many of them may be such as wait for a request.
pub(super) fn waiting(slots: usize) -> usize {
    usize::try_from(total(slots) / 4).unwrap_or_default()
}

/// Room for several plugins with all slots in use. A component of another language may have several memories and core instances.
fn pool(slots: usize) -> PoolingAllocationConfig {
    let total = total(slots);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(total)
        .total_core_instances(total.saturating_mul(16))
        .total_memories(total)
        .total_tables(total.saturating_mul(4))
        .total_stacks(total)
        .max_tables_per_module(8)
        .table_elements(40_000)
        .max_memory_size(MOST_MEMORY)
        .max_unused_warm_slots(total)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10);
    pool
}
