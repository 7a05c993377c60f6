//! Running other programs.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use anyhow::{bail, Context, Result};
use rustix::process::{set_parent_process_death_signal, Signal};

/// A command as a person would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quote(&word.to_string_lossy()))
        .collect();
    words.join(" ")
}

/// Quotes a word for a POSIX shell where it needs it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs a command that writes to our own output; its failure is ours.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("run {}", describe(command)))?;
    if !status.success() {
        bail!("{}: {status}", describe(command));
    }
    Ok(())
}

/// Runs a command silently and gives what it printed; on failure its stderr is in the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}\n{}", describe(command), output.status, said.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command silently and gives all that came of it.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("run {}", describe(command)))
}

/// Makes the child end with the thread that starts it: nothing may outlive the testbed.
pub(crate) fn bind_to_parent(command: &mut Command) -> &mut Command {
    let bind = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
    // SAFETY: between fork and exec the closure only makes one system call.
    unsafe { command.pre_exec(bind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        for word in ["plain", "", "two words", "it's", "a\"b$c`d\\e", "*", "line\nbreak"] {
            let mut sh = Command::new("sh");
            sh.arg("-c").arg(format!("printf %s {}", quote(word)));
            assert_eq!(output(&mut sh).expect("sh"), word);
        }
    }
}
