//! Starts `bulla-controller`; all of it lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match bulla_controller::Options::of_process() {
        Ok(options) => bulla_controller::main(&options),
        Err(code) => code,
    }
}
