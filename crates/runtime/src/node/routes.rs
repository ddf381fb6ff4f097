//! Which actor a path is served by.

use std::sync::Arc;

use parking_lot::RwLock;
use troupe_log::{ActorId, ByteCount};

use super::Node;
use crate::actor::cell::Status;
use crate::manifest::Serving;

/// The routes of all actors, read off their settings when first asked for.
#[derive(Default)]
pub(crate) struct Routes(RwLock<Option<Arc<[Route]>>>);

struct Route {
    serving: Serving,
    actor: ActorId,
    payload: ByteCount,
}

impl Routes {
    /// Settings with a route came or went.
    pub(crate) fn forget(&self) {
        *self.0.write() = None;
    }
}

impl Node {
    /// The actor that serves requests of this path, and the bytes that it takes: that of the longest route which the path lies
    /// in; of several with one route, the first by id.
    pub fn route(&self, path: &str) -> Option<(ActorId, ByteCount)> {
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
        Some((found.actor.clone(), found.payload))
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
