//! `troupe profile`: what the one word of `[grants] profile = "..."` stands for. No node is needed.

use serde_json::json;
use troupe_runtime::manifest::Profile;

use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe profile
  troupe profile untrusted
  troupe profile trusted --json | jq .grants.messaging")]
pub struct Args {
    /// The profile; without it, all are listed
    #[arg(value_name = "NAME", value_parser = named)]
    name: Option<Profile>,
}

fn named(text: &str) -> std::result::Result<Profile, String> {
    let found = Profile::WORDS.into_iter().find(|(word, _)| *word == text);
    let words: Vec<&str> = Profile::WORDS.iter().map(|(word, _)| *word).collect();
    found.map(|(_, profile)| profile).ok_or_else(|| format!("it is one of {}", words.join(", ")))
}

/// Prints a profile in full, or the list.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let out = context.out;
    let all = Profile::WORDS.map(|(_, profile)| profile);
    for profile in args.name.map_or_else(|| all.to_vec(), |profile| vec![profile]) {
        let grants = profile.grants().to_toml();
        if out.json {
            let grants = toml::from_str::<serde_json::Value>(&grants)
                .map_err(|error| Failure::failed("internal", format!("{}: {error}", profile.as_str()), ""))?;
            out.value(&json!({ "profile": profile.as_str(), "about": profile.about(), "grants": grants }));
        } else if args.name.is_some() {
            out.line(format!("# {}: {}\n[grants]\n{}", profile.as_str(), profile.about(), grants.trim_end()));
        } else {
            out.line(format!("{:<10} {}", profile.as_str(), profile.about()));
        }
    }
    Ok(())
}
