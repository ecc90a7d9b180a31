//! The program: arguments, and what they ask for.

use std::process::ExitCode;

use clap::Parser;
use jimo_connect::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jimo-connect: {error}");
            ExitCode::FAILURE
        }
    }
}
