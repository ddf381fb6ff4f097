//! `troupe new`: the folder of a small actor that builds and runs as it is. The templates lie in `templates/`.

use std::path::Path;

use crate::{Error, Language, Result, files, wit};

/// Longest name of an actor, without its namespace.
const MAX_NAME: usize = 63;

/// A file of a template: where it goes, and its text.
type File = (&'static str, &'static str);

const COMMON: &[File] = &[
    ("wit/world.wit", include_str!("../templates/world.wit")),
    (".gitignore", include_str!("../templates/gitignore")),
    ("README.md", include_str!("../templates/README.md")),
];

const RUST: &[File] = &[
    ("Cargo.toml", include_str!("../templates/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("../templates/rust/lib.rs")),
    ("troupe.toml", include_str!("../templates/rust/troupe.toml")),
];

const PYTHON: &[File] = &[
    ("app.py", include_str!("../templates/python/app.py")),
    ("troupe.toml", include_str!("../templates/python/troupe.toml")),
];

/// Writes a new project into `folder`, which must not exist or be empty. The name is the actor's.
pub fn create(folder: &Path, name: &str, language: Language) -> Result<()> {
    if !is_actor_name(name) {
        return Err(Error::Name { name: name.to_string() });
    }
    let (template, source) = match language {
        Language::Rust => (RUST, "src/lib.rs"),
        Language::Python => (PYTHON, "app.py"),
        Language::JavaScript | Language::C => {
            return Err(Error::NoTemplate { language: language.name(), known: "Rust, Python" });
        }
    };
    if folder.exists() && !files::list(folder)?.is_empty() {
        return Err(Error::Exists { path: folder.to_path_buf() });
    }
    let words = wit_name(name);
    for (path, text) in COMMON.iter().chain(template) {
        let text = text
            .replace("{name}", name)
            .replace("{crate}", &name.replace('.', "-"))
            .replace("{wit}", &words)
            .replace("{language}", language.name())
            .replace("{source}", source);
        files::write(&folder.join(path), text.as_bytes())?;
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
            create(&project, name, Language::Rust).unwrap();
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
        for (language, source) in [(Language::Rust, "src/lib.rs"), (Language::Python, "app.py")] {
            let folder = tempfile::tempdir().unwrap();
            create(folder.path(), "my.counter", language).unwrap();
            assert_eq!(Language::detect(folder.path()).unwrap(), language);
            for file in
                [source, "troupe.toml", "README.md", "wit/world.wit", ".gitignore", "wit/deps/troupe-actor/host.wit"]
            {
                let text = String::from_utf8(files::read(&folder.path().join(file)).unwrap()).unwrap();
                for placeholder in ["{crate}", "{wit}", "{language}", "{source}", "{name}"] {
                    assert!(!text.contains(placeholder), "{file} has {placeholder}");
                }
            }
            let manifest = String::from_utf8(files::read(&folder.path().join("troupe.toml")).unwrap()).unwrap();
            assert!(manifest.contains("name = \"my.counter\"\ncomponent = \"my.counter.wasm\""));
        }
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join("precious"), b"1").unwrap();
        assert!(matches!(create(folder.path(), "a", Language::Python), Err(Error::Exists { .. })));
        assert_eq!(files::list(folder.path()).unwrap().len(), 1);
        assert!(matches!(create(&folder.path().join("x"), "a", Language::C), Err(Error::NoTemplate { .. })));
    }
}
