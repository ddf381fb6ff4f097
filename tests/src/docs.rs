//! What the documents say is run: their commands, their transcripts, their links, and the tests that the roadmap names.
//!
//! In README.md, CONTRIBUTING.md and docs/*.md, in order and in one shell for each file, in an empty folder with the built
//! `troupe` on the PATH:
//! - a block marked `sh` is run, and must succeed; `sh node` is run in the background, until its node answers;
//! - in a block marked `console` a line that begins with `$ ` is run, and the lines below it are what it prints; `...` stands for
//!   any text, alone on a line for any lines. A status other than 0 must be shown, by `$ echo $?` right after;
//! - any block with `file=PATH` is written to that file;
//! - `sh no-run` is not run, and the paragraph above it says why, with the words "not run".

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The documents: path in the repository, and text.
fn documents() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "CHANGELOG.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.sort();
    let text = |path: &String| std::fs::read_to_string(root().join(path)).unwrap();
    paths.into_iter().map(|path| (path.clone(), text(&path))).collect()
}

/// A fenced block.
#[derive(Debug)]
struct Block<'a> {
    /// Its first line's number in the document.
    line: usize,
    words: Vec<&'a str>,
    body: Vec<&'a str>,
    /// The paragraph above it.
    above: String,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut found, mut open, mut above, mut begins) = (Vec::new(), None::<Block<'_>>, String::new(), true);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let words = info.split_whitespace().collect();
                open = Some(Block { line: number + 1, words, body: Vec::new(), above: above.clone() });
            }
            (None, None) if line.trim().is_empty() => begins = true,
            (None, None) => {
                if std::mem::take(&mut begins) {
                    above.clear();
                }
                above.push_str(line);
                above.push(' ');
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.body.push(line),
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    found
}

/// One thing that the shell is given, and what it must print, if that is shown.
struct Unit {
    line: usize,
    script: String,
    expected: Option<Vec<String>>,
    /// Its status is shown by the next unit.
    may_fail: bool,
}

fn units(path: &str, text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for block in blocks(text) {
        let mut unit = |script: String| units.push(Unit { line: block.line, script, expected: None, may_fail: false });
        let body = block.body.join("\n");
        if let Some(file) = block.words.iter().find_map(|word| word.strip_prefix("file=")) {
            unit(format!("mkdir -p \"$(dirname '{file}')\"\ncat > '{file}' <<'@@file'\n{body}\n@@file"));
            continue;
        }
        match block.words[..] {
            ["sh"] => unit(format!("set -e\n{body}\nset +e")),
            // A node that is killed in the document must not be told of by the shell, so it is no job of it; and it has
            // ended before the next one starts, as it has for people.
            ["sh", "node"] => unit(format!(
                "for node in $nodes; do gone $node; done\n(exec {body}) > \"$HOME/node.log\" 2>&1 &\nnode=$!; nodes=\"$nodes $node\"; disown $node\n\
                 for _ in $(seq 300); do troupe ps > /dev/null 2>&1 && break; kill -0 $node 2> /dev/null || break; sleep 0.1; done\n\
                 troupe ps > /dev/null || {{ cat \"$HOME/node.log\"; exit 1; }}"
            )),
            ["sh", "no-run"] => {
                assert!(block.above.contains("not run"), "{path}:{}: nothing above says why it is not run", block.line);
            }
            ["sh", ..] => panic!("{path}:{}: what is `{}`?", block.line, block.words.join(" ")),
            ["console"] => transcript(path, &block, &mut units),
            _ => {}
        }
    }
    units
}

fn transcript(path: &str, block: &Block<'_>, units: &mut Vec<Unit>) {
    let first = units.len();
    for (at, line) in block.body.iter().enumerate() {
        let Some(command) = line.strip_prefix("$ ") else {
            assert!(units.len() > first, "{path}:{}: the transcript begins with no command", block.line);
            units.last_mut().and_then(|unit| unit.expected.as_mut()).unwrap().push((*line).to_owned());
            continue;
        };
        if command == "echo $?" {
            units.last_mut().unwrap().may_fail = true;
        }
        let (line, script) = (block.line + at + 1, command.to_owned());
        units.push(Unit { line, script, expected: Some(Vec::new()), may_fail: false });
    }
}

/// Runs all units of a document in one shell; says what is wrong.
fn run(path: &str, units: &[Unit]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let home = |name: &str| {
        let made = folder.path().join(name);
        std::fs::create_dir(&made).unwrap();
        made
    };
    let (bin, work, cache) = (home("bin"), home("work"), home("cache"));
    let troupe = std::env::var_os("TROUPE_BIN").map_or_else(|| target().join("release/troupe"), PathBuf::from);
    assert!(troupe.is_file(), "no {}: run `cargo build --release -p troupe-cli`", troupe.display());
    std::os::unix::fs::symlink(&troupe, bin.join("troupe")).unwrap();
    // The languages' tools that the guests were built with, so that nothing is installed a second time.
    let tools = std::env::var_os("TROUPE_TOOLS").map_or_else(|| target().join("tools"), PathBuf::from);
    std::fs::create_dir_all(&tools).unwrap();
    std::os::unix::fs::symlink(&tools, cache.join("troupe")).unwrap();

    let mut script = "nodes=\n\
        gone() { for _ in $(seq 100); do kill -0 $1 2> /dev/null || return; sleep 0.1; done; kill -9 $1; }\n\
        trap 'kill $nodes 2> /dev/null; for node in $nodes; do gone $node; done' EXIT\ntrap 'exit 143' TERM\n"
        .to_owned();
    for (number, unit) in units.iter().enumerate() {
        let body = &unit.script;
        write!(script, "printf '@@begin {number}\\n'; (exit ${{status:-0}})\n{body}\nstatus=$?; printf '\\n@@end {number} %s\\n' $status\n")
            .unwrap();
        if unit.expected.is_none() {
            script.push_str("[ $status = 0 ] || exit 1\n");
        }
    }
    std::fs::write(folder.path().join("script"), script).unwrap();
    let output = std::fs::File::create(folder.path().join("output")).unwrap();
    let paths = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let status = Command::new("timeout")
        .args(["--kill-after=10", "600", "bash"])
        .arg(folder.path().join("script"))
        .current_dir(&work)
        .env("PATH", paths.unwrap())
        .env("XDG_CACHE_HOME", &cache)
        .env("CARGO_TARGET_DIR", target().join("docs"))
        .env_remove("TROUPE_DATA")
        .env_remove("TROUPE_LOG")
        .env("HOME", folder.path())
        .envs(toolchain())
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .status()
        .unwrap();
    let output = String::from_utf8_lossy(&std::fs::read(folder.path().join("output")).unwrap()).into_owned();
    let mut rest = output.as_str();
    for (number, unit) in units.iter().enumerate() {
        let place = format!("{path}:{}", unit.line);
        let cut =
            |rest: &str| format!("{place}: the shell ended ({status}) in or before\n{}\nit said:\n{rest}", unit.script);
        let (_, after) = rest.split_once(&format!("@@begin {number}\n")).ok_or_else(|| cut(rest))?;
        let (said, after) = after.split_once(&format!("\n@@end {number} ")).ok_or_else(|| cut(after))?;
        let (code, after) = after.split_once('\n').ok_or_else(|| cut(after))?;
        rest = after;
        if code != "0" && !unit.may_fail {
            return Err(format!("{place}: status {code}\n{}\nit said:\n{said}", unit.script));
        }
        if let Some(expected) = &unit.expected {
            let (expected, found): (Vec<&str>, Vec<&str>) =
                (expected.iter().map(String::as_str).collect(), said.trim_end().lines().collect());
            if !fits(&expected, &found) {
                return Err(format!(
                    "{place}: $ {}\nthe document shows:\n{}\nit said:\n{said}",
                    unit.script,
                    expected.join("\n")
                ));
            }
        }
    }
    Ok(())
}

/// The toolchain's homes, which lie in the real home folder unless something else is said.
fn toolchain() -> Vec<(&'static str, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]
        .into_iter()
        .filter(|(name, folder)| std::env::var_os(name).is_none() && home.join(folder).is_dir())
        .map(|(name, folder)| (name, home.join(folder)))
        .collect()
}

fn fits(expected: &[&str], found: &[&str]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((&"...", rest)) => (0..=found.len()).any(|skipped| fits(rest, &found[skipped..])),
        Some((line, rest)) => {
            found.split_first().is_some_and(|(first, found)| line_fits(line, first.trim_end()) && fits(rest, found))
        }
    }
}

fn line_fits(expected: &str, found: &str) -> bool {
    let parts: Vec<&str> = expected.trim_end().split("...").collect();
    let [first, middle @ .., last] = &parts[..] else { return parts[..] == [found] };
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn the_commands_of_the_documents_do_what_they_show() {
    let mut ran = 0;
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        let units = units(&path, &text);
        if units.is_empty() {
            continue;
        }
        ran += 1;
        wrong.extend(run(&path, &units).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(ran >= 2, "README and at least one page of docs/ have commands");
}

#[test]
fn what_a_document_shows_and_does_not_happen_is_found() {
    let run = |text: &str| run("a page", &units("a page", text));
    run("```sh\nx=1\n```\n```console\n$ echo $x is\n1 is\n$ printf 'a\\nb\\nc'\na\n...\n$ (exit 3)\n$ echo $?\n3\n```")
        .unwrap();
    run("```toml file=d/x.toml\na = 1\n```\n```console\n$ cat d/x.toml\na ... 1\n```").unwrap();
    for bad in [
        "```sh\nfalse\ntrue\n```",
        "```console\n$ echo 1\n2\n```",
        "```console\n$ echo 1\n```",
        "```console\n$ false\n```",
        "```console\n$ true\nmore\n```",
        "```console\n$ (exit 3)\n$ echo $?\n2\n```",
    ] {
        assert!(run(bad).is_err(), "{bad}");
    }
    assert!(fits(&["a", "...", "z"], &["a", "z"]) && !fits(&["a", "...", "z"], &["a", "b"]));
    assert!(line_fits("a ... c ... e", "a b c d e") && !line_fits("a ... c", "a b cd") && !line_fits("a", "ab"));
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in documents() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap();
            let file = link.split('#').next().unwrap();
            if !link.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                dead.push(format!("{path}: {link}"));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

/// Every Rust source of the repository that is not built from something.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// `a_sentence_with_underscores`, or `file::test`.
fn name_of_test(word: &str) -> Option<&str> {
    match word.split_once("::") {
        Some((file, test)) if root().join(format!("tests/src/{file}.rs")).is_file() => Some(test),
        _ => (word.matches('_').count() >= 3).then_some(word),
    }
}

#[test]
fn every_test_that_the_roadmap_names_is_there() {
    let roadmap = std::fs::read_to_string(root().join("docs/roadmap.md")).unwrap();
    let mut code = String::new();
    for folder in ["crates", "tests", "xtask"] {
        sources(&root().join(folder), &mut code);
    }
    let words = roadmap.split('`').skip(1).step_by(2);
    let named: Vec<&str> = words.filter_map(name_of_test).collect();
    assert!(named.len() > 50, "the roadmap names {} tests", named.len());
    let gone: Vec<_> = named.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert_eq!(gone, Vec::<&str>::new(), "no such tests");
}
