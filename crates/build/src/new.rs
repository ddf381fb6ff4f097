//! `troupe new`: the folder of a small actor that builds and runs as it is. The templates lie in `templates/`.

use std::path::Path;

use crate::{Error, Language, Result, files, wit};

/// Longest name of an actor, without its namespace.
const MAX_NAME: usize = 63;

/// A file of a template: where it goes, and its text.
type File = (&'static str, &'static str);

const COMMON: &[File] =
    &[(".gitignore", include_str!("../templates/gitignore")), ("README.md", include_str!("../templates/README.md"))];

const WORLD: File = ("wit/world.wit", include_str!("../templates/world.wit"));

/// What differs between languages.
struct Template {
    /// The file with the actor.
    source: &'static str,
    /// Files whose text has placeholders.
    files: &'static [File],
    /// The SDK's files, as they are in the repository: a project needs nothing of it.
    sdk: &'static [File],
    /// Rows of the README's table.
    about: &'static str,
}

/// The SDK in Rust reads the contract by a path. The first is the one in the repository, the second the one in a project.
const RUST_WIT: (&str, &str) = ("../../wit/troupe-actor", "../wit/deps/troupe-actor");

macro_rules! rust_sdk {
    ($($path:literal),*) => { &[$((concat!("troupe-sdk/", $path), include_str!(concat!("../../../sdk/rust/", $path)))),*] };
}

const RUST: Template = Template {
    source: "src/lib.rs",
    files: &[
        ("Cargo.toml", include_str!("../templates/rust/Cargo.toml")),
        ("src/lib.rs", include_str!("../templates/rust/lib.rs")),
        ("troupe.toml", include_str!("../templates/rust/troupe.toml")),
    ],
    sdk: rust_sdk![
        "Cargo.toml",
        "src/actor.rs",
        "src/bindings.rs",
        "src/error.rs",
        "src/groups.rs",
        "src/host.rs",
        "src/lib.rs",
        "src/locks.rs",
        "src/messaging.rs",
        "src/processes.rs",
        "src/queues.rs",
        "src/registry.rs",
        "src/space.rs",
        "src/timers.rs",
        "src/topics.rs"
    ],
    about: "| `troupe-sdk/` | the SDK: `cargo doc --open` shows what is in it |\n\
            | `wit/deps/` | the contract that the SDK is made of |",
};

const PYTHON: Template = Template {
    source: "app.py",
    files: &[
        WORLD,
        ("app.py", include_str!("../templates/python/app.py")),
        ("troupe.toml", include_str!("../templates/python/troupe.toml")),
    ],
    sdk: &[("troupe.py", include_str!("../../../sdk/python/troupe.py"))],
    about: "| `troupe.py` | the SDK; its head says what is in it |\n\
            | `wit/world.wit` | what the actor uses and offers; the contract itself lies in `wit/deps/` |",
};

const JAVASCRIPT: Template = Template {
    source: "app.js",
    files: &[
        WORLD,
        ("app.js", include_str!("../templates/js/app.js")),
        ("package.json", include_str!("../templates/js/package.json")),
        ("troupe.toml", include_str!("../templates/js/troupe.toml")),
    ],
    sdk: &[
        ("troupe.js", include_str!("../../../sdk/javascript/troupe.js")),
        ("troupe.d.ts", include_str!("../../../sdk/javascript/troupe.d.ts")),
        ("troupe-actor.d.ts", include_str!("../../../sdk/javascript/troupe-actor.d.ts")),
    ],
    about: "| `troupe.js`, `*.d.ts` | the SDK; its head says what is in it; types of it and of all interfaces |\n\
            | `wit/world.wit` | what the actor uses and offers; the contract itself lies in `wit/deps/` |",
};

const C: Template = Template {
    source: "app.c",
    files: &[
        ("wit/world.wit", include_str!("../templates/c/world.wit")),
        ("app.c", include_str!("../templates/c/app.c")),
        ("troupe.toml", include_str!("../templates/c/troupe.toml")),
    ],
    sdk: &[
        ("troupe.h", include_str!("../../../sdk/c/troupe.h")),
        ("troupe.c", include_str!("../../../sdk/c/troupe.c")),
    ],
    about: "| `troupe.h`, `troupe.c` | the SDK; its head says what is in it |\n\
            | `wit/world.wit` | what the actor offers; the contract itself lies in `wit/deps/` |",
};

/// Writes a new project into `folder`, which must not exist or be empty. The name is the actor's.
pub fn create(folder: &Path, name: &str, language: Language) -> Result<()> {
    if !is_actor_name(name) {
        return Err(Error::Name { name: name.to_string() });
    }
    let template = match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::JavaScript => JAVASCRIPT,
        Language::C => C,
    };
    if folder.exists() && !files::list(folder)?.is_empty() {
        return Err(Error::Exists { path: folder.to_path_buf() });
    }
    let words = wit_name(name);
    for (path, text) in COMMON.iter().chain(template.files) {
        let text = text
            .replace("{files}", template.about)
            .replace("{name}", name)
            .replace("{crate}", &name.replace('.', "-"))
            .replace("{wit}", &words)
            .replace("{language}", language.name())
            .replace("{source}", template.source);
        files::write(&folder.join(path), text.as_bytes())?;
    }
    for (path, text) in template.sdk {
        files::write(&folder.join(path), text.replace(RUST_WIT.0, RUST_WIT.1).as_bytes())?;
    }
    wit::write_packages(&[wit::ACTOR], &folder.join("wit/deps"))
}

/// `[a-z0-9][a-z0-9._-]{0,62}`
fn is_actor_name(name: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_NAME
        && name.as_bytes().first().is_some_and(is_plain)
        && name.as_bytes().iter().all(|byte| is_plain(byte) || b"._-".contains(byte))
}

/// A name that WIT takes: words that begin with a letter, joined by single `-`. `actor-` before it keeps it clear of WIT's keywords.
fn wit_name(name: &str) -> String {
    let mut words = String::from("actor");
    for word in name.split(['.', '_', '-']).filter(|word| !word.is_empty()) {
        words.push('-');
        if !word.starts_with(|first: char| first.is_ascii_lowercase()) {
            words.push('n');
        }
        words.push_str(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_an_actors() {
        for good in ["a", "counter", "7up", "a.b_c-d", &"x".repeat(63)] {
            assert!(is_actor_name(good), "{good}");
        }
        for bad in ["", "A", "-a", ".a", "a/b", "a b", "ä", "@a", &"x".repeat(64)] {
            assert!(!is_actor_name(bad), "{bad}");
            let folder = tempfile::tempdir().unwrap();
            assert!(matches!(create(&folder.path().join("x"), bad, Language::Rust), Err(Error::Name { .. })));
        }
    }

    #[test]
    fn every_name_makes_wit_that_parses_with_the_contract_in_it() {
        for name in ["counter", "7up", "a.b_c-d", "world", "a--b", "x-2-y."] {
            let folder = tempfile::tempdir().unwrap();
            let project = folder.path().join("p");
            create(&project, name, Language::Python).unwrap();
            let world = wit::stage(&project.join("wit"), &folder.path().join("staged")).unwrap();
            assert_eq!(world.name(), wit_name(name));
            assert_eq!(
                (world.resolve.worlds[world.id].imports.len(), world.resolve.worlds[world.id].exports.len()),
                (2, 3)
            );
        }
    }

    #[test]
    fn a_project_is_whole_and_no_placeholder_is_left() {
        for (language, source, sdk) in [
            (Language::Rust, "src/lib.rs", "troupe-sdk/src/actor.rs"),
            (Language::Python, "app.py", "troupe.py"),
            (Language::JavaScript, "app.js", "troupe.d.ts"),
            (Language::C, "app.c", "troupe.c"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            create(folder.path(), "my.counter", language).unwrap();
            assert_eq!(Language::detect(folder.path()).unwrap(), language);
            assert!(!files::read(&folder.path().join(sdk)).unwrap().is_empty());
            for file in [source, "troupe.toml", "README.md", ".gitignore", "wit/deps/troupe-actor/host.wit"] {
                let text = String::from_utf8(files::read(&folder.path().join(file)).unwrap()).unwrap();
                for placeholder in ["{crate}", "{wit}", "{language}", "{source}", "{name}", "{files}"] {
                    assert!(!text.contains(placeholder), "{file} has {placeholder}");
                }
            }
            let manifest = String::from_utf8(files::read(&folder.path().join("troupe.toml")).unwrap()).unwrap();
            assert!(manifest.contains("name = \"my.counter\"\ncomponent = \"my.counter.wasm\""));
        }
    }

    #[test]
    fn the_whole_sdk_in_rust_is_in_a_project_and_finds_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), "a", Language::Rust).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust/src");
        for file in files::list(&repository).unwrap() {
            let ours = folder.path().join("troupe-sdk/src").join(file.file_name().unwrap());
            assert!(ours.is_file(), "{} is not in the template's list", file.display());
        }
        let bindings =
            String::from_utf8(files::read(&folder.path().join("troupe-sdk/src/bindings.rs")).unwrap()).unwrap();
        let paths: Vec<&str> = bindings.lines().filter_map(|line| line.trim().strip_prefix("path: ")).collect();
        assert!(paths.len() == 7 && paths.iter().all(|path| *path == "\"../wit/deps/troupe-actor\","), "{paths:?}");
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join("precious"), b"1").unwrap();
        assert!(matches!(create(folder.path(), "a", Language::Python), Err(Error::Exists { .. })));
        assert_eq!(files::list(folder.path()).unwrap().len(), 1);
    }
}
