//! Which actor a path is served by.

use std::sync::Arc;

use parking_lot::RwLock;
use troupe_log::{ActorId, ByteCount};

use super::Node;
use crate::actor::cell::Status;
use crate::manifest::{Bodies, Serving};

/// The routes of all actors, read off their settings when first asked for.
#[derive(Default)]
pub(crate) struct Routes(RwLock<Option<Arc<[Route]>>>);

struct Route {
    serving: Serving,
    actor: ActorId,
    payload: ByteCount,
}

/// Who serves a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The actor.
    pub actor: ActorId,
    /// Bytes of a message that it takes.
    pub payload: ByteCount,
    /// Bodies come and go beside their messages.
    pub streamed: bool,
}

impl Routes {
    /// Settings with a route came or went.
    pub(crate) fn forget(&self) {
        *self.0.write() = None;
    }
}

impl Node {
    /// Who serves requests of this path: the longest route which the path lies in; of several with one route, the first by id.
    pub fn route(&self, path: &str) -> Option<Routed> {
        let known = self.core.routes.0.read().clone();
        let routes = match known {
            Some(routes) => routes,
            None => {
                // Held while they are read, so that what is forgotten meanwhile is forgotten after.
                let mut place = self.core.routes.0.write();
                let routes = self.routes();
                *place = Some(routes.clone());
                routes
            }
        };
        let found = routes.iter().find(|route| route.serving.takes(path))?;
        let streamed = found.serving.bodies == Bodies::Streamed;
        Some(Routed { actor: found.actor.clone(), payload: found.payload, streamed })
    }

    fn routes(&self) -> Arc<[Route]> {
        let actors = self.core.actors.read();
        let mut routes: Vec<Route> = actors
            .values()
            .filter_map(|cell| {
                let life = cell.life.lock();
                let serving = life.config.http.clone().filter(|_| !matches!(life.status, Status::Stopped(_)))?;
                Some(Route { serving, actor: cell.id.clone(), payload: life.config.limits.payload })
            })
            .collect();
        routes.sort_by(|one, other| {
            let length = other.serving.route.len().cmp(&one.serving.route.len());
            length.then_with(|| one.actor.cmp(&other.actor))
        });
        routes.into()
    }
}
