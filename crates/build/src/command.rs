//! Running the tools: one way for all, that captures what they write, shows it as it comes, and names the command when it fails.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Progress, Result};

/// Lines of a failed tool's output that the error keeps.
const KEPT_LINES: usize = 60;

/// Runs the command to its end. Lines of its error output go to `progress`; its standard output is the result.
pub(crate) fn run(command: &mut Command, progress: Progress<'_>) -> Result<Vec<u8>> {
    let line = describe(command);
    let folder = command.get_current_dir().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let failed = |status: String, output: String| Error::Command {
        command: line.clone(),
        folder: folder.clone(),
        status,
        output,
    };

    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("it did not start".to_string(), error.to_string()))?;
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();

    let mut output = Vec::new();
    let mut kept = VecDeque::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let Some(mut stdout) = stdout {
                // What could be read before a broken pipe is all there is; the exit status tells the rest.
                let _ = stdout.read_to_end(&mut output);
            }
        });
        let Some(stderr) = stderr else { return };
        for line in BufReader::new(stderr).split(b'\n').map_while(|line| line.ok()) {
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            if !line.is_empty() {
                progress(&line);
            }
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    });
    let status = child.wait().map_err(|error| failed("its end is not known".to_string(), error.to_string()))?;
    if status.success() {
        return Ok(output);
    }
    let mut text = kept.into_iter().collect::<Vec<_>>().join("\n");
    let said = String::from_utf8_lossy(&output);
    let said: Vec<&str> = said.lines().collect();
    for line in &said[said.len().saturating_sub(KEPT_LINES)..] {
        text.push('\n');
        text.push_str(line);
    }
    Err(failed(status.to_string(), text.trim().to_string()))
}

/// The file that the system would run for `program`, which may be a bare name or a path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().map(OsStr::to_string_lossy) {
        line.push(' ');
        line.push_str(&argument);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_the_result_and_errors_are_progress() {
        let lines = Mutex::new(Vec::new());
        let out = run(&mut shell("echo out; echo one >&2; echo two >&2"), &|line| {
            lines.lock().unwrap().push(line.to_string());
        })
        .unwrap();
        assert_eq!(out, b"out\n");
        assert_eq!(*lines.lock().unwrap(), ["one", "two"]);
    }

    #[test]
    fn a_failure_names_the_command_and_keeps_the_last_lines_of_both_outputs() {
        let error = run(&mut shell("echo why >&2; echo where; exit 3"), &|_| ()).unwrap_err().to_string();
        assert!(error.contains("sh -c"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("why\nwhere"), "{error}");
    }

    #[test]
    fn a_large_output_on_both_sides_does_not_block() {
        let out = run(&mut shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"), &|_| ()).unwrap();
        assert_eq!(out.len(), 300_000);
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_that_names_it() {
        let error = run(&mut Command::new("/no/such/program"), &|_| ()).unwrap_err().to_string();
        assert!(error.contains("/no/such/program") && error.contains("did not start"), "{error}");
        assert_eq!(find("no-such-program-anywhere"), None);
        assert!(find("sh").is_some());
    }
}
