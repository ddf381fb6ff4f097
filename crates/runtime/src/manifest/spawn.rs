//! What a parent says of the child that it spawns: `[limits]`, `[grants]` and `[supervision]`, none of them wider than its own.

use super::error::Error;
use super::grants::{self, GRANT_KEYS};
use super::parse::{self, LIMIT_KEYS, SUPERVISION_KEYS};
use super::text::{Doc, Entry, Section};
use super::theater;
use super::types::{Grants, Limits, Mode, Supervision};

/// The most bytes of such a text. It is a guest's, and each of its patterns is held against each of the parent's.
pub const MAX_SPAWN_MANIFEST: u64 = 16 << 10;

/// What a guest's text is called in errors.
const NAME: &str = "the manifest of the child";

/// The settings of a child. What the text does not say is the parent's own; what is wider than that is an error that names it.
pub fn spawn_options(
    text: &str,
    parent: (&Limits, &Grants, &Supervision),
) -> Result<(Limits, Grants, Supervision), Error> {
    if text.len() as u64 > MAX_SPAWN_MANIFEST {
        return Err(Error::TooLarge { file: NAME.to_owned(), limit: MAX_SPAWN_MANIFEST });
    }
    let doc = Doc { name: NAME, text };
    let table = doc.table()?;
    let root = Section::root(&doc, &table, &["limits", "grants", "supervision"])?;
    let (mut limits, mut grants, mut supervision) = (parent.0.clone(), parent.1.clone(), parent.2.clone());
    let wider = |section: &str, why: String| Error::Wider {
        place: root.get(section).map_or_else(|| root.place(), |entry| entry.place()),
        why,
    };
    if let Some(entry) = root.get("limits") {
        limits = parse::limits(&entry.section(LIMIT_KEYS)?, limits)?;
        limits.within(parent.0).map_err(|why| wider("limits", why))?;
    }
    if let Some(entry) = root.get("grants") {
        let processes = parent.1.processes.clone().unwrap_or_default();
        let names: Vec<&str> = processes.components.keys().map(String::as_str).collect();
        let (mut said, hosts) = grants::read(&entry.section(GRANT_KEYS)?, grants, &names)?;
        absolute(&mut said, &hosts)?;
        said.within(parent.1).map_err(|why| wider("grants", why))?;
        grants = said;
    }
    if let Some(entry) = root.get("supervision") {
        supervision = parse::supervision(&entry.section(SUPERVISION_KEYS)?, supervision)?;
        supervision.within(parent.2).map_err(|why| wider("supervision", why))?;
    }
    Ok((limits, grants, supervision))
}

/// The name of the component, and the grants, of a child that a text in Theater's form describes. A handler gives what the parent has
/// of it: messages to the same actors, the same components to spawn, of the variables those that the parent sees.
pub fn of_theater(text: &str, parent: &Grants) -> Result<(String, Grants), Error> {
    if text.len() as u64 > MAX_SPAWN_MANIFEST {
        return Err(Error::TooLarge { file: NAME.to_owned(), limit: MAX_SPAWN_MANIFEST });
    }
    let doc = Doc { name: NAME, text };
    let table = doc.table()?;
    let draft = theater::read(&doc, &table)?;
    let (_, component) = &draft.component;
    let name = component.str()?.to_owned();
    if let Some((_, entry)) = &draft.init {
        return Err(entry.unsupported("`init_state` in the manifest of a child", "give the state to spawn"));
    }
    if draft.journal == Mode::Off {
        return Err(component.unsupported("`save_chain = false` for a child", "its journal is kept as its parent's"));
    }
    if draft.listen.is_some() {
        return Err(component.unsupported("a `port` for a child", "serve its parent"));
    }
    if let Some((_, (_, entry))) = draft.components.first_key_value() {
        return Err(entry.unsupported("`components` in the manifest of a child", "it may spawn what its parent may"));
    }
    let mut grants = draft.grants;
    if grants.messaging.is_some() && parent.messaging.is_some() {
        grants.messaging = parent.messaging.clone();
    }
    if grants.processes.is_some() && parent.processes.is_some() {
        grants.processes = parent.processes.clone();
    }
    if let (Some(own), Some(above)) = (&mut grants.environment, &parent.environment) {
        let vars = above.vars.iter().filter(|(name, _)| own.inherits(name));
        own.vars = vars.map(|(name, value)| (name.clone(), value.clone())).collect();
        own.inherit.retain(|name| above.inherits(name));
        own.prefixes.retain(|prefix| above.prefixes.iter().any(|above| prefix.starts_with(above)));
    }
    absolute(&mut grants, &draft.hosts)?;
    let wider = |why| Error::Wider { place: component.place(), why };
    grants.within(parent).map_err(wider)?;
    Ok((name, grants))
}

/// An error unless each directory that is named is named by its whole path.
fn absolute(grants: &mut Grants, hosts: &[Entry<'_, '_>]) -> Result<(), Error> {
    for (grant, at) in grants.filesystem.iter_mut().zip(hosts) {
        if !grant.host.is_absolute() {
            return Err(at.bad(
                format!("is the relative path {}", grant.host.display()),
                "name a directory of the parent's by its whole path",
            ));
        }
        grant.host = grant.host.components().collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ActorPattern, Environment, Messaging, Processes, Profile};
    use troupe_log::ByteCount;

    fn spawned(text: &str, parent: &Grants) -> Result<(Limits, Grants, Supervision), String> {
        let limits = Limits { memory: ByteCount(1 << 20), ..Limits::default() };
        spawn_options(text, (&limits, parent, &Supervision::default())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_the_parents_own() {
        let trusted = Profile::Trusted.grants();
        let (limits, grants, supervision) = spawned("", &trusted).unwrap();
        assert_eq!((limits.memory, grants, supervision), (ByteCount(1 << 20), trusted.clone(), Supervision::default()));
        let text = "[limits]\nfuel = 5\n[grants]\nclocks = false\n[grants.messaging]\nto = [\"w-*\"]\n[supervision]\non-fault = \"stop\"\n";
        let (limits, grants, supervision) = spawned(text, &trusted).unwrap();
        assert_eq!((limits.memory, limits.fuel), (ByteCount(1 << 20), 5));
        let to = vec![ActorPattern::parse("w-*").unwrap()];
        assert_eq!(grants, Grants { clocks: false, messaging: Some(Messaging { to }), ..trusted.clone() });
        assert_eq!(supervision.on_fault, crate::manifest::OnFault::Stop);
        let (_, grants, _) = spawned("[grants]\nprofile = \"untrusted\"\n", &trusted).unwrap();
        assert_eq!(grants, Profile::Untrusted.grants());
    }

    #[test]
    fn a_child_in_the_form_of_theater_has_of_each_handler_what_its_parent_has() {
        let to = vec![ActorPattern::parse("w-*").unwrap()];
        let processes = Processes { spawn: vec!["worker".to_owned()], ..Processes::default() };
        let vars = [("A", "1"), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parent = Grants {
            messaging: Some(Messaging { to }),
            processes: Some(processes),
            environment: Some(Environment { vars: vars.into(), ..Environment::default() }),
            ..Grants::default()
        };
        let head = "name = \"w\"\ncomponent = \"worker\"\n";
        let handlers = "[[handler]]\ntype = \"message-server\"\n[[handler]]\ntype = \"supervisor\"\n[[handler]]\ntype = \
                        \"environment\"\nallowed_vars = [\"A\", \"C\"]\n";
        let (name, grants) = of_theater(&format!("{head}{handlers}"), &parent).unwrap();
        assert_eq!(name, "worker");
        assert_eq!((&grants.messaging, &grants.processes), (&parent.messaging, &parent.processes));
        let seen = grants.environment.unwrap();
        assert_eq!((seen.vars.len(), seen.vars["A"].as_str(), seen.inherit.len()), (1, "1", 0));
        assert!(!grants.clocks && !grants.host);
        let (_, none) = of_theater(head, &parent).unwrap();
        assert_eq!((none.messaging, none.processes, none.environment), (None, None, None));
        for (text, part) in [
            ("[[handler]]\ntype = \"message-server\"", "grants.messaging.to = \"*\" is wider"),
            ("[[handler]]\ntype = \"supervisor\"", "grants.processes"),
            ("[[handler]]\ntype = \"filesystem\"\npath = \"data\"", "is the relative path data"),
            ("[[handler]]\ntype = \"filesystem\"\npath = \"/etc\"", "is wider"),
            ("init_state = \"x\"", "`init_state` in the manifest of a child"),
            ("[[handler]]\ntype = \"wasi-http\"\nport = 80", "a `port` for a child"),
            ("save_chain = false", "`save_chain = false` for a child"),
        ] {
            let why = of_theater(&format!("{head}{text}"), &Grants::default()).expect_err(text).to_string();
            assert!(why.contains(part), "{why}\nshould have: {part}");
        }
        let long = format!("{head}#{}", "x".repeat(MAX_SPAWN_MANIFEST as usize));
        assert!(of_theater(&long, &parent).unwrap_err().to_string().contains("16384 bytes"));
    }

    #[test]
    fn what_is_wider_or_no_setting_of_a_child_is_refused_with_its_place() {
        let cases = [
            (
                "[limits]\nmemory = \"2MiB\"",
                "the manifest of the child:1:1: limits.memory = 2097152 is wider than the parent's, 1048576",
            ),
            ("[limits]\ndeadline = \"none\"", "limits.deadline = none is wider than the parent's, 5s"),
            ("[grants]\nmessaging = true", "grants.messaging.to = \"*\" is wider than the parent's, []"),
            ("[grants]\nprofile = \"trusted\"", "is wider than the parent's"),
            (
                "[[grants.filesystem]]\nhost = \"/etc\"\nguest = \"/etc\"",
                "grants.filesystem = /etc for writing is wider",
            ),
            ("[[grants.filesystem]]\nhost = \"etc\"\nguest = \"/etc\"", "is the relative path etc"),
            ("[supervision]\nattempts = 4", "supervision.attempts = 4 is wider"),
            ("[actor]\nname = \"x\"", "unknown key `actor`"),
            ("[bind]\n", "unknown key `bind`"),
            ("[grants]\nmesaging = true", "the nearest known key is `messaging`"),
            ("[limits]\nmemory = 1", "at least 64KiB"),
        ];
        for (text, part) in cases {
            let why = spawned(text, &Grants::default()).expect_err(text);
            assert!(why.contains(part), "{why}\nshould have: {part}");
        }
        let long = format!("#{}", "x".repeat(MAX_SPAWN_MANIFEST as usize - 1));
        assert!(spawned(&long, &Grants::default()).is_ok(), "at the edge");
        assert!(spawned(&format!("{long}x"), &Grants::default()).unwrap_err().contains("16384 bytes"));
    }
}
