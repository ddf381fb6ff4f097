//! Topics: each item to every subscriber, as info from `@topic/NAME`.

use crate::{Result, bindings::channels as door};

/// A subscription of this actor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription(pub u64);

/// Tells all subscribers. The item's id.
pub fn publish(topic: &str, message_type: &str, payload: impl AsRef<[u8]>) -> Result<String> {
    door::publish_to_topic(topic, message_type, payload.as_ref())
}

/// From now on this actor is told. In the pattern `*` is one dotted segment and `>` the rest. Durable.
pub fn subscribe(pattern: &str) -> Result<Subscription> {
    door::subscribe(pattern).map(Subscription)
}

impl Subscription {
    /// Ends it.
    pub fn end(self) -> Result<()> {
        door::unsubscribe(self.0)
    }
}
