//! `troupe new`, `build`, `run`: from nothing to an answer, with no environment, outside the repository.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::front_support::{Done, Folder};

/// A PATH with what a machine with Rust has, and nothing else of the environment.
fn path() -> String {
    let mut folders = vec![PathBuf::from("/usr/local/bin"), PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    folders.extend(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).filter(|f| f.join("cargo").is_file()),
    );
    folders.extend(cargo.and_then(|cargo| cargo.parent().map(PathBuf::from)));
    std::env::join_paths(folders).unwrap().into_string().unwrap()
}

/// Tools that the repository's own tasks have installed already: the first build of a user installs them.
fn tools() -> PathBuf {
    std::env::var_os("TROUPE_TOOLS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools")), PathBuf::from)
}

/// From nothing to an answer, with the home folder empty but for tools.
fn a_project_builds_and_runs(language: &str) {
    let here = Folder::new();
    let home = here.path().join("home");
    std::fs::create_dir_all(home.join(".cache")).unwrap();
    if language != "rust" {
        std::os::unix::fs::symlink(tools().canonicalize().unwrap(), home.join(".cache/troupe")).unwrap();
    }
    let bare = |folder: &str, arguments: &[&str]| -> Command {
        let mut command = here.command(arguments);
        command.current_dir(here.path().join(folder)).env("PATH", path()).env("HOME", &home);
        command
    };
    let made = Done::of(bare(".", &["new", "hello", "--lang", language]).output().unwrap()).ok();
    assert!(made.contains("cd hello && troupe build && troupe run"), "{made}");
    let again = Done::of(bare(".", &["new", "hello"]).output().unwrap()).err(2);
    assert!(again.contains("exists and is not empty"), "{again}");
    let built = Done::of(bare("hello", &["build"]).output().unwrap()).ok();
    assert!(built.contains("built ") && built.contains(".wasm"), "{built}");

    let mut run = bare("hello", &["run"]);
    let mut node = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(node.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C") {
        if std::io::BufRead::read_line(&mut lines, &mut said).unwrap() == 0 {
            panic!("{said}{}", Done::of(node.wait_with_output().unwrap()).stderr);
        }
    }
    assert!(said.contains("default/hello started"), "{said}");
    assert!(Done::of(bare("hello", &["ps"]).output().unwrap()).ok().contains("hello"));
    for (arguments, answer) in [(&["add", "5"][..], "5"), (&["add", "-7"], "-2"), (&["get"], "-2")] {
        let call: Vec<&str> = ["call", "hello"].iter().chain(arguments).copied().collect();
        assert_eq!(Done::of(bare("hello", &call).output().unwrap()).ok().trim(), answer, "{language}: {arguments:?}");
    }
    let error = Done::of(bare("hello", &["call", "hello", "add", "x"]).output().unwrap()).err(1);
    assert!(error.contains("not a number: x"), "{language}: {error}");
    assert!(Done::of(bare("hello", &["replay", "hello"]).output().unwrap()).ok().contains("identical"), "{language}");
    Done::of(bare("hello", &["stop", "--node"]).output().unwrap()).ok();
    assert_eq!(Done::of(node.wait_with_output().unwrap()).code, 0);
}

#[test]
fn a_new_project_builds_and_runs_with_no_environment() {
    a_project_builds_and_runs("rust");
}

#[test]
fn a_new_project_in_c_builds_and_runs_with_no_environment() {
    a_project_builds_and_runs("c");
}

#[test]
fn a_new_project_in_python_builds_and_runs_with_no_environment() {
    a_project_builds_and_runs("python");
}

#[test]
fn a_new_project_in_javascript_builds_and_runs_with_no_environment() {
    a_project_builds_and_runs("js");
}

#[test]
fn what_cannot_be_built_is_said() {
    let here = Folder::new();
    let none = here.run(&["build"]).err(2);
    assert!(none.contains("is no actor project") && none.contains("troupe new"), "{none}");
    let bad = here.run(&["new", "Bad Name"]).err(2);
    assert!(bad.contains("Bad Name"), "{bad}");
    assert_eq!(here.run(&["new", "x", "--lang", "cobol"]).code, 2);
}
