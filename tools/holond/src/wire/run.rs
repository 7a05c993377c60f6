//! Running `ip` and `wg`.

use super::problem::Problem;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// One command.
#[derive(PartialEq, Eq)]
pub(super) struct Call {
    program: &'static str,
    args: Vec<String>,
    // May have the private key in it: not shown.
    input: String,
}

impl Call {
    pub(super) fn new(program: &'static str, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { program, args, input: String::new() }
    }

    /// What it reads.
    pub(super) fn input(mut self, text: &str) -> Self {
        self.input = text.into();
        self
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.args.join(" "))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Runs it; what it printed.
pub(super) fn output(call: &Call) -> Result<String, Problem> {
    let failed = |why: String| Problem::Failed(call.to_string(), why);
    let mut command = Command::new(call.program);
    // Its messages are looked at.
    command.args(&call.args).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::NoTool(call.program, package(call.program)),
        _ => failed(error.to_string()),
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read it says so by its status.
        let _ = stdin.write_all(call.input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn package(program: &str) -> &'static str {
    match program {
        "wg" => "wireguard-tools",
        _ => "iproute2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_given_and_never_shown() {
        let call = Call::new("cat", &[]).input("secret");
        assert_eq!(output(&call).as_deref(), Ok("secret"));
        assert!(!format!("{call:?} {call}").contains("secret"));
        let fails = Call::new("cat", &["/nowhere"]).input("secret");
        let problem = output(&fails).expect_err("no such file");
        assert!(
            matches!(&problem, Problem::Failed(..)) && !format!("{problem:?}").contains("secret")
        );
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let problem = output(&Call::new("holon-no-such-program", &[]));
        assert_eq!(problem, Err(Problem::NoTool("holon-no-such-program", "iproute2")));
        assert_eq!(package("wg"), "wireguard-tools");
    }
}
