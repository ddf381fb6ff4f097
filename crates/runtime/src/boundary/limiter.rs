//! Memory and table limits of one instance.
//!
//! A growth over the limit is refused with -1, which the guest sees and which is the same in every replay; a growth that
//! the host cannot give for another reason is a fault of the host and never seen by the guest.

use crate::manifest::Limits;

/// What an instance uses of its limits.
#[derive(Debug)]
pub struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    tables: usize,
}

impl Limiter {
    /// Nothing used yet.
    pub fn new(limits: &Limits) -> Limiter {
        Limiter {
            memory_limit: usize::try_from(limits.memory.0).unwrap_or(usize::MAX),
            table_limit: limits.tables as usize,
            memory: 0,
            tables: 0,
        }
    }

    /// Other limits from now on; what is used already stays.
    pub fn set(&mut self, limits: &Limits) {
        let Limiter { memory, tables, .. } = *self;
        *self = Limiter { memory, tables, ..Limiter::new(limits) };
    }

    /// Bytes of linear memory in use.
    pub fn memory(&self) -> usize {
        self.memory
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let total = self.memory - current.min(self.memory) + desired;
        let fits = total <= self.memory_limit;
        if fits {
            self.memory = total;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context("the host has no memory for the guest"))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let total = self.tables - current.min(self.tables) + desired;
        let fits = total <= self.table_limit;
        if fits {
            self.tables = total;
        }
        Ok(fits)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context("the host has no table space for the guest"))
    }
}
