//! The wish that the turn in progress ends now, whatever it is in the middle of.
//!
//! Seen wherever the turn parks or yields, so by an endless loop too. It costs nothing until somebody looks.

use std::sync::Arc;

use tokio::sync::watch;

/// One life's.
#[derive(Clone, Debug)]
pub struct Cut(watch::Sender<Option<Arc<str>>>);

impl Default for Cut {
    fn default() -> Self {
        Cut(watch::channel(None).0)
    }
}

impl Cut {
    /// The turn in progress is to end, for this reason.
    pub fn ask(&self, why: &str) {
        self.0.send_replace(Some(why.into()));
    }

    /// No turn is to end any more.
    pub fn clear(&self) {
        self.0.send_replace(None);
    }

    /// Ends when the turn is to end, with the reason.
    pub async fn asked(self) -> String {
        let mut asked = self.0.subscribe();
        let why = asked.wait_for(Option::is_some).await.ok().and_then(|why| why.as_deref().map(str::to_owned));
        match why {
            Some(why) => why,
            // Never: the sender is held here.
            None => std::future::pending().await,
        }
    }
}
