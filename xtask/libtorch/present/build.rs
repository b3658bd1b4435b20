//! Fails with one sentence where torch-sys would find no libtorch.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["LIBTORCH", "LIBTORCH_LIB", "LIBTORCH_USE_PYTORCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let found_otherwise = env::var_os("LIBTORCH_USE_PYTORCH").is_some() || Path::new("/usr/lib/libtorch.so").exists();
    let folder = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")).map(PathBuf::from);
    let Some(folder) = folder else {
        if !found_otherwise {
            println!("cargo::error=there is no libtorch: run `cargo xtask setup`, which brings it");
        }
        return;
    };
    let lib = folder.join("lib");
    println!("cargo::rerun-if-changed={}", lib.display());
    let names = ["libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.lib"];
    if env::var_os("LIBTORCH_USE_PYTORCH").is_none() && !names.iter().any(|name| lib.join(name).exists()) {
        println!(
            "cargo::error=there is no libtorch in {}: run `cargo xtask setup`, which brings it, \
             or set LIBTORCH to the folder of a libtorch 2.13.0",
            folder.display()
        );
    }
}
