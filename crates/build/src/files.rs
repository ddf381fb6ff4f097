//! Small file work that names the path when it fails, and the digest that says whether sources changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { doing: "read", path: path.to_path_buf(), source })
}

/// Writes a file whole: a reader sees the old one or the new one. Makes the folders above it. A file that holds these bytes
/// already is left alone, so that its time tells when it last changed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        create_dir(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let unfinished = path.with_file_name(name);
    fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path)).map_err(|source| Error::Io {
        doing: "write",
        path: path.to_path_buf(),
        source,
    })
}

/// Makes a folder and those above it.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::Io { doing: "create", path: path.to_path_buf(), source })
}

/// An empty folder at this path, whatever was there before.
pub fn empty_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Io { doing: "remove", path: path.to_path_buf(), source });
        }
        _ => {}
    }
    create_dir(path)
}

/// What a folder holds, sorted by name.
pub fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Io { doing: "read", path: path.to_path_buf(), source };
    let mut entries = fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(failed)?;
    entries.sort();
    Ok(entries)
}

/// A digest over the names and bytes of all files under these paths, and some words beside them (versions of tools).
/// Build output and what tools leave behind is passed over.
pub fn digest(paths: &[&Path], words: &[&str]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for word in words {
        part(&mut hasher, word.as_bytes());
    }
    for path in paths {
        add(&mut hasher, path, path)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn add(hasher: &mut blake3::Hasher, root: &Path, path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in list(path)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let left_behind = name.starts_with('.') || name.ends_with(".wasm") || name.ends_with(".pyc");
            if !left_behind && !["target", "node_modules", "__pycache__"].contains(&name.as_str()) {
                add(hasher, root, &entry)?;
            }
        }
        return Ok(());
    }
    part(hasher, path.strip_prefix(root).unwrap_or(path).to_string_lossy().as_bytes());
    part(hasher, &read(path)?);
    Ok(())
}

/// Each part with its length before it, so that no two lists of parts give the same bytes.
fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_follows_names_bytes_and_words_but_not_build_output() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(&path.join("src/app.py"), b"one").unwrap();
        let first = digest(&[path], &["v1"]).unwrap();

        write(&path.join("target/out"), b"x").unwrap();
        write(&path.join("app.wasm"), b"x").unwrap();
        write(&path.join("src/__pycache__/app.pyc"), b"x").unwrap();
        assert_eq!(digest(&[path], &["v1"]).unwrap(), first);

        assert_ne!(digest(&[path], &["v2"]).unwrap(), first);
        write(&path.join("src/app.py"), b"two").unwrap();
        let second = digest(&[path], &["v1"]).unwrap();
        assert_ne!(second, first);
        fs::rename(path.join("src/app.py"), path.join("src/bpp.py")).unwrap();
        assert_ne!(digest(&[path], &["v1"]).unwrap(), second);
    }

    #[test]
    fn a_write_of_the_same_bytes_leaves_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        write(&path, b"same").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        write(&path, b"same").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), std::time::UNIX_EPOCH);
        write(&path, b"other").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(list(&folder.path().join("a")).unwrap(), [path]);
    }
}
