//! Starts `bulla-controller`; all of it lives in the library.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    bulla_controller::main(&bulla_controller::Options::parse())
}
