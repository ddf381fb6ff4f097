//! Which data folder a command means: `--data`, else TROUPE_DATA, else the nearest `.troupe` upward, else a new one here.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The name of a data folder that nobody named.
pub const NAME: &str = ".troupe";

/// The folder of a command that makes it if need be.
pub fn or_new(named: Option<&Path>, here: &Path) -> PathBuf {
    match named {
        Some(path) => here.join(path),
        None => nearest(here).unwrap_or_else(|| here.join(NAME)),
    }
}

/// The folder of a command that needs one.
pub fn existing(named: Option<&Path>, here: &Path) -> Result<PathBuf> {
    match named {
        Some(path) if here.join(path).is_dir() => Ok(here.join(path)),
        Some(path) => Err(Failure::failed(
            "no-data",
            format!("there is no data folder at {}", here.join(path).display()),
            format!("start a node on it with `troupe run --data {}`", path.display()),
        )),
        None => nearest(here).ok_or_else(|| {
            Failure::failed(
                "no-data",
                format!("there is no data folder {NAME} in {} or above it", here.display()),
                "start a node with `troupe run`, or name a folder with --data or TROUPE_DATA",
            )
        }),
    }
}

fn nearest(here: &Path) -> Option<PathBuf> {
    here.ancestors().map(|folder| folder.join(NAME)).find(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_then_nearest_then_new() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let deep = top.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(or_new(None, &deep), deep.join(".troupe"));
        let e = existing(None, &deep).unwrap_err();
        assert!(e.help.contains("troupe run"), "{e:?}");
        // A file of that name is no data folder.
        std::fs::write(deep.join(".troupe"), "").unwrap();
        std::fs::create_dir(top.join(".troupe")).unwrap();
        assert_eq!(or_new(None, &deep), top.join(".troupe"));
        assert_eq!(existing(None, &deep).unwrap(), top.join(".troupe"));
        std::fs::create_dir(top.join("a/.troupe")).unwrap();
        assert_eq!(existing(None, &deep).unwrap(), top.join("a/.troupe"), "the nearest");
        let named = Path::new("x");
        assert_eq!(or_new(Some(named), &deep), deep.join("x"));
        assert!(existing(Some(named), &deep).unwrap_err().message.contains("a/b/x"));
    }
}
