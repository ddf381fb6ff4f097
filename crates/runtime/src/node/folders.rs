//! Folders that the node makes for its actors: `host = "@new"` in `[[grants.filesystem]]`, `new_dir = true` in Theater's manifest.
//!
//! Promises: such a folder lies in the node's data folder, is the actor's alone, and is empty when a life begins that a manifest or a
//! program starts; it stays through crashes, restarts of the node and of the actor. Nothing outside of `folders/` is removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Node;
use crate::error::{Error, Result};
use crate::manifest::{ActorSpec, FilesystemGrant};

/// In the data folder.
const FOLDERS: &str = "folders";

impl Node {
    /// Puts the folders of an actor where its grants ask for new ones. Returns them.
    pub(super) fn name_folders(&self, spec: &mut ActorSpec) -> Result<Vec<PathBuf>> {
        let mut named = Vec::new();
        for (n, grant) in spec.grants.filesystem.iter_mut().enumerate() {
            if !grant.is_new() {
                continue;
            }
            let Some(data) = &self.data else {
                let what = format!("{}: a new folder needs a node with a data folder", spec.id);
                return Err(Error::Invalid { what });
            };
            let data = data.canonicalize().map_err(|error| cannot("find", data, &error))?;
            // No name of an actor has a `+`, so that no two actors have one folder, and none is named `..`.
            grant.host = data.join(FOLDERS).join(format!("{}+{}+{n}", spec.id.namespace(), spec.id.name()));
            named.push(grant.host.clone());
        }
        Ok(named)
    }
}

impl FilesystemGrant {
    /// A directory of the host in whose place the node makes a new folder.
    pub const NEW: &str = "@new";

    pub(crate) fn is_new(&self) -> bool {
        self.host.as_os_str() == Self::NEW
    }
}

/// Makes them if they are not there.
pub(super) fn make(folders: &[PathBuf]) -> Result<()> {
    folders.iter().try_for_each(|folder| fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error)))
}

/// Removes what lies in them.
pub(super) fn empty(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot("empty", folder, &error)),
            _ => {}
        }
    }
    make(folders)
}

fn cannot(what: &str, folder: &Path, error: &io::Error) -> Error {
    Error::Invalid { what: format!("cannot {what} the folder {}: {error}", folder.display()) }
}
