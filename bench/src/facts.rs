//! What a run's figures depend on: the commit, the machine, the settings, the versions of what it is compared with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use troupe_runtime::component::{Engines, Settings};
use troupe_runtime::manifest::Limits;

/// Packages whose version says what was compared with.
const PEERS: [&str; 3] = ["ractor", "tokio", "wasmtime"];

/// The head of the file.
#[derive(Debug, Default, Serialize)]
pub struct Facts {
    /// What was built; `+` behind it if the tree had changes.
    pub commit: String,
    /// How it was measured and on what.
    pub settings: BTreeMap<&'static str, String>,
    /// Name and version.
    pub peers: BTreeMap<String, String>,
}

impl Facts {
    /// Of this build, on this machine.
    pub fn find(repository: &Path) -> Facts {
        let limits = Limits::default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let settings = BTreeMap::from([
            ("engine", Engines::fingerprint()),
            ("live", Settings::default().live.to_string()),
            (
                "limits",
                format!("memory {}, fuel {} a turn, deadline {:?}", limits.memory, limits.fuel, limits.deadline),
            ),
            ("profile", "release, debug assertions on in Troupe's crates".to_owned()),
            ("runtime", "tokio, multi-thread; one worker for casts".to_owned()),
            ("figures", "the best of interleaved rounds; medians for durable-1-caller and start-python".to_owned()),
            ("cores", cores.to_string()),
            ("cpu", cpu().unwrap_or_default()),
        ]);
        Facts { commit: commit(repository).unwrap_or_else(|| "unknown".to_owned()), settings, peers: peers(repository) }
    }
}

fn commit(repository: &Path) -> Option<String> {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(repository).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(git(&["rev-parse", "HEAD"])? + if changed { "+" } else { "" })
}

fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn peers(repository: &Path) -> BTreeMap<String, String> {
    let lock = std::fs::read_to_string(repository.join("Cargo.lock")).unwrap_or_default();
    versions(&lock)
}

fn versions(lock: &str) -> BTreeMap<String, String> {
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches(['=', ' ', '"']).to_owned());
    let mut found = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(text) = value(line, "name ") {
            name = Some(text);
        } else if let Some(version) = value(line, "version ")
            && let Some(name) = name.take_if(|name| PEERS.contains(&name.as_str()))
        {
            found.insert(name, version);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "version = 4\n[[package]]\nname = \"other\"\nversion = \"9\"\n\n[[package]]\nname = \"ractor\"\nversion = \"0.16.5\"\n";
        assert_eq!(versions(lock), BTreeMap::from([("ractor".to_owned(), "0.16.5".to_owned())]));
    }
}
