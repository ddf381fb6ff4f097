//! Engine settings: one engine for running, one for replaying.
//!
//! Everything that can change what a guest computes is fixed here and named in the fingerprint: canonical NaNs, deterministic
//! relaxed SIMD, no threads, fuel. Sizes of the pool follow from how many instances may be live.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use super::rewrite::REWRITE_VERSION;
use crate::error::{Error, Result};

/// Stack of a guest, bytes. Replay has twice as much, so that only a live run can overflow it.
const STACK: usize = 512 << 10;
/// Core instances in one component: componentize-py makes 14.
const CORE_INSTANCES: u32 = 32;
/// Tables of one instance in the pool, elements: a Python guest starts with 5672.
const TABLE_ELEMENTS: usize = 32 << 10;
/// The largest memory that an actor's limit may name.
pub(crate) const MOST_MEMORY: u64 = 2 << 30;

/// How large the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Instances that may be live at the same time. Each takes up to six memory mappings of the process; the kernel's
    /// `vm.max_map_count` (65530 by default) allows about 10,000.
    pub live: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { live: 4096 }
    }
}

/// The engines of a node.
#[derive(Clone)]
pub struct Engines {
    /// For live actors: pooled.
    pub run: Engine,
    /// For replay: on demand, with more stack.
    pub replay: Engine,
}

impl Engines {
    /// Makes both.
    pub fn new(settings: Settings) -> Result<Engines> {
        let mut run = base();
        run.max_wasm_stack(STACK).async_stack_size(2 * STACK);
        run.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
        let run =
            Engine::new(&run).map_err(|error| Error::Engine { what: format!("{error:#}"), live: settings.live })?;
        Ok(Engines { run, replay: Self::replay_engine()? })
    }

    /// The engine for replay alone.
    pub fn replay_engine() -> Result<Engine> {
        let mut replay = base();
        replay.max_wasm_stack(2 * STACK).async_stack_size(4 * STACK);
        Engine::new(&replay).map_err(|error| Error::Engine { what: format!("{error:#}"), live: 0 })
    }

    /// What a journal says of the engine that it was made with.
    pub fn fingerprint() -> String {
        format!("wasmtime 48; nan=canonical; relaxed-simd=deterministic; fuel; rewrite={REWRITE_VERSION}")
    }
}

fn base() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_features(WasmFeatures::THREADS, false)
        .wasm_features(WasmFeatures::MEMORY64, false);
    config
}

fn pool(settings: Settings) -> PoolingAllocationConfig {
    let live = settings.live;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(live)
        .total_core_instances(live.saturating_mul(CORE_INSTANCES))
        .total_stacks(live)
        .total_memories(live.saturating_mul(2))
        .total_tables(live.saturating_mul(4))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(8)
        .max_tables_per_component(64)
        .max_memories_per_module(4)
        .max_tables_per_module(16)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(MOST_MEMORY as usize)
        .max_unused_warm_slots(128)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}
