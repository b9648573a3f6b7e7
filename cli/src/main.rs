//! Starts `bulla`; all of it lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bulla_cli::main(std::env::args_os())
}
