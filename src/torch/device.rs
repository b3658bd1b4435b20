//! Which device to compute on.

use tch::{Cuda, Device};

use crate::error::{Error, Result};

/// Reads the value of a `--device` flag: `cpu`, `cuda` (the first), `cuda:N`, or `auto` (CUDA where there is one).
///
/// # Errors
/// [`Error::Device`] for anything else, and for a CUDA device that is not there
/// # Examples
/// ```
/// use literate_diffusion::torch::{parse_device, tch::Device};
/// assert_eq!(parse_device("cpu")?, Device::Cpu);
/// assert!(parse_device("gpu").is_err());
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
pub fn parse_device(text: &str) -> Result<Device> {
    let cannot = |reason: String| Err(Error::Device { asked: text.to_owned(), reason });
    let there = if Cuda::is_available() { Cuda::device_count() } else { 0 };
    let number = match text {
        "cpu" => return Ok(Device::Cpu),
        "auto" if there <= 0 => return Ok(Device::Cpu),
        "auto" | "cuda" => Some(0),
        _ => text.strip_prefix("cuda:").and_then(|number| number.parse::<usize>().ok()),
    };
    match number {
        None => cannot("it must be cpu, cuda, cuda:N with a whole number N, or auto".to_owned()),
        Some(number) if i64::try_from(number).is_ok_and(|number| number < there) => Ok(Device::Cuda(number)),
        Some(_) if there > 0 => cannot(format!("this machine's CUDA devices are 0 to {}", there - 1)),
        Some(_) => cannot(no_cuda()),
    }
}

/// Why there is no CUDA device: the program, or the machine?
fn no_cuda() -> String {
    if cuda_is_linked() {
        return "this machine has no NVIDIA driver that works with this libtorch's CUDA; use cpu or auto".to_owned();
    }
    "this program was built with a libtorch for the CPU alone; `cargo xtask setup --cuda` brings the other one"
        .to_owned()
}

/// Whether this program was linked against libtorch's CUDA library, with or without a GPU in the machine.
pub fn cuda_is_linked() -> bool {
    // Without the library, nothing is registered that could allocate on CUDA, and the message names the missing backend.
    let attempt = tch::Tensor::f_zeros([1], (tch::Kind::Float, Device::Cuda(0)));
    attempt.map_or_else(|error| !error.to_string().contains("'CUDA' backend"), |_| true)
}
