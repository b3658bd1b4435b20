//! Which folder of pictures an example takes.

use std::path::{Path, PathBuf};

/// Names a folder of pictures where no `--data` is given.
pub const VARIABLE: &str = "LITERATE_DIFFUSION_DATA";

/// The folder that `--data` names; else the one of the variable; else `target/data/<name>`, where `cargo xtask data <name>`
/// puts it; none where there is none of them. A folder that is named is returned whether or not it is there, so that a slip
/// of the pen is an error and not another data set.
pub fn folder(asked: Option<&Path>, name: &str) -> Option<PathBuf> {
    let of_variable = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let brought = || Some(Path::new("target/data").join(name)).filter(|folder| folder.exists());
    asked.map(Path::to_owned).or_else(of_variable).or_else(brought)
}
