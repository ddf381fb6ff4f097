//! Actors in WebAssembly components: the runtime of Troupe as a library.
//!
//! A node loads components, runs actors of them, records everything that crosses their boundary, brings them back after a
//! crash, and replays them. [`Node`](node::Node) is the whole of it on one page.
//!
//! A counter that saves its total as text, from load to replay (docs/embedding.md explains the lines):
//!
//! ```
//! # use troupe_log::{ActorId, ByteCount, Kind};
//! # use troupe_runtime::manifest::{ActorSpec, ComponentRef};
//! # use troupe_runtime::node::{Node, NodeOptions, Outgoing};
//! # use troupe_runtime::replay::{Replay, ReplayCode};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests").to_owned();
//! # let guests = std::env::var("TROUPE_GUESTS").unwrap_or(guests);
//! # let bytes = std::fs::read(format!("{guests}/saver.wasm")).map_err(|error| format!("{error}: run `cargo xtask guests`"))?;
//! let node = Node::open(NodeOptions::in_memory()).await?;
//! node.load_as("counter", "1.0.0", &bytes).await?;
//! let component = ComponentRef::Named { name: "counter".into(), version: "1.0.0".into() };
//! let mut counter = ActorSpec { init: b"40".to_vec(), ..ActorSpec::new(ActorId::parse("counter")?, component) };
//! (counter.limits.memory, counter.grants.random.seed) = (ByteCount::mib(32), Some(7));
//! node.start(counter.clone()).await?;
//! assert_eq!(node.call(&counter.id, Outgoing::new("add", &b"2"[..])).await?, b"42");
//! node.snapshot(&counter.id)?;
//! node.stop(&counter.id, "done").await?;
//! let mut replay = Replay::new(ReplayCode::compile(&bytes)?, node.journal_source(&counter.id).await?)?;
//! while let Some(turn) = replay.next_turn().await? {
//!     println!("{}: {}", turn.kind.name(), turn.ended());
//! }
//! # let journal = node.journal(&counter.id).await?.read_all()?;
//! # let kinds: Vec<_> = troupe_log::record::records(&journal).map(|record| record.unwrap().kind).collect();
//! # assert!(kinds.iter().any(|kind| *kind == Kind::Base) && *kinds.last().unwrap() == Kind::Stop, "{kinds:?}");
//! # assert_eq!(replay.summary().records, kinds.len() as u64);
//! # node.close().await?;
//! # Ok(())
//! # }
//! ```

pub mod actor;
pub mod boundary;
pub mod component;
pub mod contract;
pub mod env;
pub mod host;
pub mod http;
pub mod manifest;
pub mod node;
pub mod replay;
pub mod service;
pub mod supervision;

mod error;

pub use error::{Error, Result};

/// The example of docs/embedding.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
