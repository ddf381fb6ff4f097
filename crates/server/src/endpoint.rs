//! `api.json` in the data folder: where the node's API listens, and the token; mode 0600.
//!
//! Written whole (a temporary file, then a rename) when the node listens, removed when everything is closed. One that is
//! left behind by a killed node names an address that nobody answers at, which a client takes for "no node runs".

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name in the data folder.
pub const FILE: &str = "api.json";

/// The most that the file may have.
const MAX_FILE: u64 = 64 << 10;

/// What the file says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where the API listens, on loopback.
    pub address: SocketAddr,
    /// What a request must carry.
    pub token: String,
    /// The node's process.
    pub pid: u32,
}

impl Endpoint {
    /// Writes the file.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let temporary = data.join(format!("{FILE}.{}.tmp", self.pid));
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.write_all(b"\n")?;
        drop(file);
        fs::rename(&temporary, path(data))
    }

    /// Reads the file; `None` if there is none.
    pub fn read(data: &Path) -> io::Result<Option<Self>> {
        use std::io::Read as _;
        let file = match fs::File::open(path(data)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Removes the file if it is still this node's.
    pub fn remove(&self, data: &Path) {
        if let Ok(Some(there)) = Self::read(data)
            && there == *self
        {
            // If it cannot be removed, the address in it is dead all the same.
            let _ = fs::remove_file(path(data));
        }
    }
}

/// Never shows the token.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// Where the file lies.
pub fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn endpoint(pid: u32) -> Endpoint {
        Endpoint { address: SocketAddr::from(([127, 0, 0, 1], 4000)), token: "t".repeat(64), pid }
    }

    #[test]
    fn only_its_owner_may_read_it_whatever_lay_there_before() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "old").unwrap();
        fs::write(dir.path().join("api.json.7.tmp"), "left over").unwrap();
        endpoint(7).write(dir.path()).unwrap();
        let mode = fs::metadata(path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Endpoint::read(dir.path()).unwrap(), Some(endpoint(7)));
    }

    #[test]
    fn a_node_removes_its_own_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Endpoint::read(dir.path()).unwrap(), None);
        endpoint(7).write(dir.path()).unwrap();
        endpoint(8).remove(dir.path());
        assert!(path(dir.path()).exists());
        endpoint(7).remove(dir.path());
        assert!(!path(dir.path()).exists());
        fs::write(path(dir.path()), "{").unwrap();
        assert!(Endpoint::read(dir.path()).is_err());
    }
}
