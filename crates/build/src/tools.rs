//! The folder of installed tools, and how they come into it: once, under a lock, so that two builds at the same time share one
//! installation and a build that was cut short leaves nothing that looks whole.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{find, run};
use crate::{Error, Progress, Result, files};

/// Programs that may be the Python to start from, best first.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// The least Python that the tools run on.
const OLDEST_PYTHON: &str = "(3, 10)";

/// Where certificates of the system lie, for tools that bring their own and would not know a company's proxy.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A folder of tools. Safe to remove at any time when no build runs; the next build fills it again.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Tools in this folder, which is made when the first one is installed.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Tools for a user's project: `$XDG_CACHE_HOME/troupe`, else `~/.cache/troupe`, else `.troupe-tools` in the project.
    #[must_use]
    pub fn for_project(project: &Path) -> Self {
        let var = |name| std::env::var_os(name).map(PathBuf::from);
        Self::at(place(project, var("XDG_CACHE_HOME"), var("HOME")))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A Python interpreter that has these packages, each as `name==version`.
    pub fn python(&self, packages: &[&str], progress: Progress<'_>) -> Result<PathBuf> {
        let venv = absolute(&self.folder.join("python"))?;
        let python = venv.join("bin/python");
        let wanted: Vec<&str> = packages.iter().copied().filter(|package| !stamp(&venv, package).is_file()).collect();
        if wanted.is_empty() && python.is_file() {
            return Ok(python);
        }
        let _lock = self.lock("python")?;
        if !python.is_file() {
            files::empty_dir(&venv)?;
            progress("making a Python environment (once)");
            run(Command::new(system_python()?).args(["-m", "venv"]).arg(&venv), progress)?;
        }
        for package in packages {
            if !stamp(&venv, package).is_file() {
                progress(&format!("installing {package} from PyPI (once)"));
                let mut pip = Command::new(&python);
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).arg(package);
                run(pip.env("PIP_CACHE_DIR", self.folder.join("pip-cache")), progress)?;
                files::write(&stamp(&venv, package), b"")?;
            }
        }
        Ok(python)
    }

    /// A folder whose `node_modules` has this package, as `name@version`; and the `node` to run it with.
    pub fn npm(&self, package: &str, progress: Progress<'_>) -> Result<(PathBuf, PathBuf)> {
        let missing = |what: &str| Error::Missing {
            what: what.to_string(),
            remedy: "install Node.js 20 or later (https://nodejs.org), with npm, and put both on the PATH".to_string(),
        };
        let node = find("node").ok_or_else(|| missing("node"))?;
        let folder = absolute(&self.folder.join("node"))?;
        if stamp(&folder, package).is_file() {
            return Ok((folder, node));
        }
        let npm = find("npm").ok_or_else(|| missing("npm"))?;
        let _lock = self.lock("node")?;
        if !stamp(&folder, package).is_file() {
            files::empty_dir(&folder)?;
            progress(&format!("installing {package} from npm (once)"));
            let mut command = Command::new(npm);
            command.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--save-exact", "--prefix"]);
            command.arg(&folder).arg(package).env("npm_config_cache", absolute(&self.folder.join("npm-cache"))?);
            with_certificates(&mut command);
            run(&mut command, progress)?;
            files::write(&stamp(&folder, package), b"")?;
        }
        Ok((folder, node))
    }

    /// Held while a kind of tool is installed. The lock goes with the file handle, so a killed build leaves none behind.
    fn lock(&self, name: &str) -> Result<File> {
        files::create_dir(&self.folder)?;
        let path = self.folder.join(format!("{name}.lock"));
        File::create(&path).and_then(|file| file.lock().map(|()| file)).map_err(|source| Error::Io {
            doing: "lock",
            path,
            source,
        })
    }
}

fn place(project: &Path, cache: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    let usable = |path: &PathBuf| path.is_absolute();
    match (cache.filter(usable), home.filter(usable)) {
        (Some(cache), _) => cache.join("troupe"),
        (None, Some(home)) => home.join(".cache/troupe"),
        (None, None) => project.join(".troupe-tools"),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| Error::Io { doing: "find", path: path.to_path_buf(), source })
}

/// The file that says that a package is installed whole.
fn stamp(folder: &Path, package: &str) -> PathBuf {
    folder.join(".installed").join(package.replace('/', "+"))
}

/// The first Python on the PATH that is new enough and can make environments.
fn system_python() -> Result<PathBuf> {
    let check = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < {OLDEST_PYTHON})");
    let fit = |python: &PathBuf| run(Command::new(python).args(["-c", &check]), &|_| ()).is_ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| PYTHONS.map(|name| folder.join(name)))
        .filter(|python| python.is_file())
        .find(fit)
        .ok_or_else(|| Error::Missing {
            what: "Python 3.10 or later with its `venv` module".to_string(),
            remedy: "install it and put it on the PATH (on Debian and Ubuntu: `apt install python3 python3-venv`)"
                .to_string(),
        })
}

fn with_certificates(command: &mut Command) {
    if std::env::var_os("NODE_EXTRA_CA_CERTS").is_none()
        && let Some(bundle) = CERTIFICATES.iter().find(|path| Path::new(path).is_file())
    {
        command.env("NODE_EXTRA_CA_CERTS", bundle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_tools_follows_the_environment_and_falls_back_to_the_project() {
        let project = Path::new("/p");
        let some = |path: &str| Some(PathBuf::from(path));
        assert_eq!(place(project, some("/c"), some("/h")), Path::new("/c/troupe"));
        assert_eq!(place(project, None, some("/h")), Path::new("/h/.cache/troupe"));
        assert_eq!(place(project, some("relative"), some("")), Path::new("/p/.troupe-tools"));
        assert_eq!(place(project, None, None), Path::new("/p/.troupe-tools"));
    }

    #[test]
    fn a_second_installer_waits_for_the_lock_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools::at(folder.path());
        let held = tools.lock("python").unwrap();
        let other = File::open(folder.path().join("python.lock")).unwrap();
        assert!(matches!(other.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
        drop(held);
        other.try_lock().unwrap();
    }

    #[test]
    fn a_stamp_is_one_file_name_whatever_the_package_is_called() {
        assert_eq!(stamp(Path::new("/t"), "@a/b@1"), Path::new("/t/.installed/@a+b@1"));
    }
}
