//! For the build script of every package with programs that use libtorch, since link arguments do not pass from one
//! package to another.

use std::env;
use std::path::PathBuf;

/// Lets every program of the package find libtorch with no environment variable, and CUDA's part of it where it is there.
///
/// The package has to depend on torch-sys directly, since torch-sys says where it found libtorch to its dependants alone.
pub fn link() {
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else { return };
    println!("cargo::rerun-if-changed={}", lib.display());
    // CUDA's libraries are found from where those of libtorch really are, not from a link to there.
    let lib = lib.canonicalize().unwrap_or(lib);
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // No program names a symbol of libtorch_cuda, so that the linker would drop it, and CUDA with it.
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
