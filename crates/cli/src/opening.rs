//! Opening a data folder: for a node, or to read what is in it.
//!
//! A process that was killed holds its lock until the system has taken it apart, so a folder that is locked by nobody who
//! answers is tried again for [`PATIENCE`]. One whose node answers is in use: that is said at once.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use troupe_log::Error as Log;
use troupe_runtime::Error;
use troupe_server::client::Client;
use troupe_server::wire::NodeInfo;

use crate::failure::{Failure, Result};

/// How long a locked folder is tried again.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so long it is said that the command waits.
const QUIET: Duration = Duration::from_millis(200);
/// Between two tries. There is no event for a lock that another process lets go.
const BETWEEN: Duration = Duration::from_millis(10);

/// Opens it, waiting a little for a process that is on its way out. `say` hears of it if that takes a while.
pub async fn patiently<T>(
    data: &Path,
    say: impl Fn(&str),
    open: impl AsyncFn() -> std::result::Result<T, Error>,
) -> Result<T> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        let error = match open().await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let Error::Log(Log::Locked { pid, .. }) = &error else { return Err(failed(error, data)) };
        if begun.elapsed() >= PATIENCE || answers(data).await {
            return Err(failed(error, data));
        }
        if !said && begun.elapsed() >= QUIET {
            said = true;
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            say(&format!("{} is still locked by {holder}; trying for {PATIENCE:?}", data.display()));
        }
        sleep(BETWEEN).await;
    }
}

/// Whether a node runs there. What answers late, or is something else at the address of one that is gone, does not.
async fn answers(data: &Path) -> bool {
    match Client::find(data) {
        Ok(client) => timeout(QUIET, client.get::<NodeInfo>("/v1/node")).await.is_ok_and(|answer| answer.is_ok()),
        Err(_) => false,
    }
}

fn failed(error: Error, data: &Path) -> Failure {
    let data = data.display();
    let help = match &error {
        Error::Log(Log::Locked { .. }) => format!(
            "a node runs there already: `troupe ps` shows it, `troupe start MANIFEST` adds actors to it, `troupe stop --node` stops it; or choose another folder with --data (this is {data})",
        ),
        Error::Log(Log::Io { source, .. }) | Error::File { source, .. }
            if source.kind() == std::io::ErrorKind::StorageFull =>
        {
            format!(
                "the disk of {data} is full: free some space, or choose another folder with --data; nothing is lost"
            )
        }
        _ => String::new(),
    };
    Failure::failed("open", error, help)
}
