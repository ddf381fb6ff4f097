//! The engine alone: direct typed calls of the same component, in the same process, with the engine settings of a node (fuel,
//! epochs, pooling) and nothing else: no mailbox, no message, no limits, no recorder.

use std::time::SystemTime;

use anyhow::{Context, anyhow};
use troupe_runtime::component::{Engines, Settings};
use troupe_runtime::env::Entropy as _;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, Store, StoreContextMut};

use crate::setup::{Cheap, PAYLOAD};

type Request<'a> = TypedFunc<(&'a str, &'a str, &'a [u8]), (Result<Vec<u8>, String>,)>;
type Event<'a> = TypedFunc<(&'a str, &'a str, &'a [u8]), (Result<(), String>,)>;

/// A component that is ready to be instantiated.
#[derive(Clone)]
pub struct Raw {
    engine: Engine,
    pre: InstancePre<()>,
    request: ComponentExportIndex,
    event: ComponentExportIndex,
}

/// An instance with its functions.
pub struct Instance {
    store: Store<()>,
    request: Request<'static>,
    event: Event<'static>,
}

impl Raw {
    /// The guest of the benchmarks.
    pub fn new(bytes: &[u8]) -> anyhow::Result<Raw> {
        let engine = Engines::new(Settings::default())?.run;
        let component = Component::new(&engine, bytes).map_err(plain)?;
        let mut linker = Linker::new(&engine);
        let host = |_: StoreContextMut<'_, ()>, (): ()| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Ok((u64::try_from(since.as_millis()).unwrap_or(u64::MAX),))
        };
        let mut interface = linker.instance("troupe:actor/host@0.1.0").map_err(plain)?;
        interface.func_wrap("now-millis", host).map_err(plain)?;
        let random = |_: StoreContextMut<'_, ()>, (len,): (u64,)| {
            let mut bytes = vec![0; usize::try_from(len)?];
            Cheap.fill(&mut bytes);
            Ok((bytes,))
        };
        let mut interface = linker.instance("wasi:random/random@0.2.12").map_err(plain)?;
        interface.func_wrap("get-random-bytes", random).map_err(plain)?;
        linker.define_unknown_imports_as_traps(&component).map_err(plain)?;
        let find = |interface: &str, function: &str| {
            let (_, instance) = component.get_export(None, format!("troupe:actor/{interface}@0.1.0"))?;
            component.get_export(Some(&instance), function).map(|(_, index)| index)
        };
        Ok(Raw {
            request: find("gen-server", "handle-request").context("the guest has no gen-server")?,
            event: find("gen-event", "handle-event").context("the guest has no gen-event")?,
            pre: linker.instantiate_pre(&component).map_err(plain)?,
            engine,
        })
    }

    /// A new instance.
    pub async fn instance(&self) -> anyhow::Result<Instance> {
        let mut store = Store::new(&self.engine, ());
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store.set_fuel(u64::MAX / 4).map_err(plain)?;
        let instance = self.pre.instantiate_async(&mut store).await.map_err(plain)?;
        let request = instance.get_typed_func(&mut store, self.request).map_err(plain)?;
        let event = instance.get_typed_func(&mut store, self.event).map_err(plain)?;
        Ok(Instance { store, request, event })
    }
}

impl Instance {
    /// A call with an answer.
    pub async fn call(&mut self, message_type: &'static str) -> anyhow::Result<Vec<u8>> {
        let arguments = ("@client", message_type, &PAYLOAD[..]);
        let (answer,) = self.request.call_async(&mut self.store, arguments).await.map_err(plain)?;
        answer.map_err(anyhow::Error::msg)
    }

    /// The same, so many times.
    pub async fn calls(&mut self, message_type: &'static str, count: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            std::hint::black_box(self.call(message_type).await?);
        }
        Ok(())
    }

    /// The export that casts go to, so many times.
    pub async fn casts(&mut self, message_type: &'static str, count: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            let arguments = ("@client", message_type, &PAYLOAD[..]);
            let (done,) = self.event.call_async(&mut self.store, arguments).await.map_err(plain)?;
            done.map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }
}

/// The engine's errors are a type of their own.
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
