//! What a command ends with when it does not succeed: an exit code, what happened, and what to do.
//!
//! Exit codes: 1 failed, 2 usage (what was asked for is wrong in itself), 3 a replay differs.

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use troupe_server::ApiError;
use troupe_server::client::ClientError;

use crate::output::plain;

/// Why the process ends with something else than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked for in order, and did not work.
    Failed = 1,
    /// It cannot work as it was asked for.
    Usage = 2,
    /// A replay or a comparison found a difference.
    Differs = 3,
}

/// A command's error.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A word for programs.
    pub code: String,
    /// What happened and where.
    pub message: String,
    /// What to do next; may be empty.
    pub help: String,
}

/// A command's result.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Something did not work.
    pub fn failed(code: &str, message: impl Display, help: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code: code.to_owned(), message: message.to_string(), help: help.into() }
    }

    /// Something was asked for wrongly.
    pub fn usage(message: impl Display, help: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed("usage", message, help) }
    }

    /// A replay or comparison found a difference.
    pub fn differs(message: impl Display, help: impl Into<String>) -> Self {
        Self { exit: Exit::Differs, ..Self::failed("differs", message, help) }
    }

    /// A file cannot be read.
    pub fn read(path: &Path, e: &std::io::Error) -> Self {
        Self::failed("io", format!("cannot read {}: {e}", path.display()), "check the path and its permissions")
    }

    /// A file cannot be written.
    pub fn write(path: &Path, e: &std::io::Error) -> Self {
        Self::failed(
            "io",
            format!("cannot write {}: {e}", path.display()),
            "check the path, its permissions, and the space left",
        )
    }

    /// Prints it on standard error.
    pub fn print(&self, as_json: bool) {
        let mut text = format!("error: {}\n", plain(&self.message));
        for line in self.help.lines() {
            text.push_str(&format!("  help: {}\n", plain(line)));
        }
        if as_json {
            let error = json!({ "code": self.code, "message": self.message, "help": self.help });
            text = format!("{}\n", json!({ "error": error }));
        }
        // Where standard error is closed, the exit code has to do.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl From<troupe_runtime::manifest::Error> for Failure {
    /// What a manifest says wrongly is usage; one that cannot be read is a failure.
    fn from(e: troupe_runtime::manifest::Error) -> Self {
        use troupe_runtime::manifest::Error as Manifest;
        match e {
            Manifest::Read { .. } => Self::failed("io", e, "name the manifest, as in `troupe run path/to/troupe.toml`"),
            _ => Self { code: "manifest".to_owned(), ..Self::usage(e, "") },
        }
    }
}

impl From<troupe_runtime::Error> for Failure {
    /// With the same code and help as over the API.
    fn from(e: troupe_runtime::Error) -> Self {
        let ApiError { failure, .. } = e.into();
        Self { exit: Exit::Failed, code: failure.code, message: failure.message, help: failure.help }
    }
}

impl From<ClientError> for Failure {
    fn from(e: ClientError) -> Self {
        match e {
            ClientError::NotRunning { data } => Self::failed(
                "no-node",
                format!("no node runs on {}", data.display()),
                format!(
                    "start one with `troupe run --data {}`, or name another data folder with --data",
                    data.display()
                ),
            ),
            ClientError::Endpoint { ref path, .. } => {
                let help = format!("if no node runs there, remove {}", path.display());
                Self::failed("io", e, help)
            }
            ClientError::Refused(failure) => Self {
                exit: match failure.code.as_str() {
                    "usage" => Exit::Usage,
                    "differs" => Exit::Differs,
                    _ => Exit::Failed,
                },
                code: failure.code,
                message: failure.message,
                help: failure.help,
            },
            ClientError::Broken(_) => Self::failed(
                "broken",
                e,
                "it may or may not have been done; `troupe ps` shows if the node lives. A call with --key can be repeated without harm",
            ),
            ClientError::NotANode(_) => Self::failed(
                "no-node",
                e,
                "another program may have taken the port; start the node again with `troupe run`",
            ),
        }
    }
}
