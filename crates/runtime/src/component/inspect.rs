//! What a file is, before anything is compiled: its digest, its imports and exports by name.

use troupe_log::Digest;
use wasmparser::{Encoding, Parser, Payload};

use super::engine::Engines;
use crate::error::{Error, Result};

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Names of what it imports.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
}

impl Inspection {
    /// The contracts that its exports stand for, by name.
    pub fn contracts(&self) -> Vec<String> {
        self.exports.iter().filter(|name| name.contains('/')).cloned().collect()
    }
}

impl Inspection {
    /// Whether it imports nothing that it would share with other actors: of WASI all but key-value stores.
    pub fn is_alone(&self) -> bool {
        self.imports.iter().all(|import| import.starts_with("wasi:") && !import.starts_with("wasi:keyvalue/"))
    }
}

/// What it imports and no node of this version provides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Nobody can: it cannot run.
    pub missing: Vec<String>,
    /// An actor can, if `[bind]` of the manifest names one.
    pub to_bind: Vec<String>,
}

/// Looks what a component imports that no node of this version provides.
pub fn missing(inspection: &Inspection) -> Result<Missing> {
    if inspection.imports.is_empty() {
        return Ok(Missing::default());
    }
    let boundary = crate::node::linked(&Engines::replay_engine()?)?;
    let there = |import: &&String| !boundary.provides(import);
    let lacking = inspection.imports.iter().filter(there).cloned();
    let (to_bind, missing) = lacking.partition(|import| boundary.bindable(import));
    Ok(Missing { missing, to_bind })
}

/// Looks at the bytes of a file.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    let broken = |why: String| Error::NotAComponent { why };
    if bytes.len() < 8 || bytes[..4] != *b"\0asm" {
        return Err(broken("it does not begin like a wasm file".to_owned()));
    }
    let mut inspection =
        Inspection { digest: Digest::of(bytes), size: bytes.len() as u64, imports: Vec::new(), exports: Vec::new() };
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| broken(format!("it is damaged or cut short: {error}")))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(broken(
                    "it is a core module, not a component; make one with `wasm-tools component new`, or build with `troupe build`"
                        .to_owned(),
                ));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(|error| broken(error.to_string()))?;
                    inspection.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(|error| broken(error.to_string()))?;
                    inspection.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(inspection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_imports_nothing_but_wasi_shares_nothing() {
        let of = |imports: &[&str]| Inspection {
            digest: Digest([0; 32]),
            size: 0,
            imports: imports.iter().map(|import| (*import).to_owned()).collect(),
            exports: Vec::new(),
        };
        assert!(of(&[]).is_alone() && of(&["wasi:http/types@0.2.3", "wasi:cli/stdout@0.2.0"]).is_alone());
        for shares in ["wasi:keyvalue/store@0.2.0-draft", "troupe:actor/messaging@0.1.0", "bank:ledger/account@0.1.0"] {
            assert!(!of(&["wasi:io/poll@0.2.0", shares]).is_alone(), "{shares}");
        }
    }

    #[test]
    fn what_is_no_component_is_refused_with_the_reason() {
        let module = [0, b'a', b's', b'm', 1, 0, 0, 0];
        assert!(inspect(&module).unwrap_err().to_string().contains("core module"));
        assert!(inspect(b"hello").unwrap_err().to_string().contains("does not begin like a wasm file"));
        let component = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        assert_eq!(inspect(&component).unwrap().imports, Vec::<String>::new());
        assert!(inspect(&[&component[..], &[7, 200]].concat()).unwrap_err().to_string().contains("cut short"));
    }
}
