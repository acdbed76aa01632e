//! `portcullis`: arguments in, exit code out.

use std::process::ExitCode;

/// What a request costs lies in many small pieces of memory: measured by `benches/compare`. What is given
/// back is overwritten first, whatever held it: buffers of connections, forms, heads and answers hold
/// passwords and tokens, also in libraries that do not know of it.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

fn main() -> ExitCode {
    portcullis::cli::main()
}
