//! With the feature `torch`: lets the programs of this package find libtorch.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "torch")]
    libtorch_link::link();
}
