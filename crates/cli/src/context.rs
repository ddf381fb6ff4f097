//! What every command starts with: the global options, the folder it was started in, and the way to the node.

use std::path::PathBuf;

use clap::Args;
use troupe_server::client::Client;

use crate::data;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The data folder [default: the nearest .troupe upward]
    #[arg(long, global = true, env = "TROUPE_DATA", value_name = "FOLDER", hide_env_values = true)]
    pub data: Option<PathBuf>,

    /// Print JSON, one value a line; errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
}

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub struct Context {
    data: Option<PathBuf>,
    /// The folder that the command was started in.
    pub here: PathBuf,
    /// Standard output.
    pub out: Output,
}

impl Context {
    /// From the global options.
    pub fn new(global: &Global) -> Result<Self> {
        let here = std::env::current_dir().map_err(|e| {
            Failure::failed("io", format!("the current folder cannot be found: {e}"), "change to a folder that exists")
        })?;
        // An empty TROUPE_DATA names nothing.
        let data = global.data.clone().filter(|path| !path.as_os_str().is_empty());
        Ok(Self { data, here, out: Output { json: global.json } })
    }

    /// The data folder, which need not exist.
    pub fn data_or_new(&self) -> PathBuf {
        data::or_new(self.data.as_deref(), &self.here)
    }

    /// The data folder, which exists.
    pub fn data(&self) -> Result<PathBuf> {
        data::existing(self.data.as_deref(), &self.here)
    }

    /// The node that runs on the data folder.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::find(&self.data()?)?)
    }
}
