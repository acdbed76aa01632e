//! `portcullis`: arguments in, exit code out.

use std::process::ExitCode;

/// What a request costs lies in many small pieces of memory: measured by `benches/compare`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
