//! Empty: the build script does the work. It fails with one sentence where there is no libtorch.
//!
//! It has to run before the build script of torch-sys, which fails with pages of C++ errors. So it needs nothing that takes
//! time to compile, and much waits for it (`libtorch-link`, and that for the main package's build script): cargo begins
//! with what most waits for.
