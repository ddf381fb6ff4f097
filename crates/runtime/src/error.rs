//! What can go wrong at the runtime's own surface, each with what, where, and what to do.

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log's own error.
    #[error(transparent)]
    Log(#[from] troupe_log::Error),
}

/// A result of the runtime.
pub type Result<T, E = Error> = std::result::Result<T, E>;
