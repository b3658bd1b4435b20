//! Checkpoints: named arrays and a few words, in one `.safetensors` file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use super::files::write_atomically;

/// What a checkpoint of one program holds; `kind` tells the programs apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub kind: String,
    pub words: Words,
    pub arrays: BTreeMap<String, ArrayD<f32>>,
}

/// Why a checkpoint cannot be used; each sentence names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{path} cannot be read ({reason}); give the path of a checkpoint that this program wrote")]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("{path} is not a whole .safetensors file ({reason}); give one that this program wrote, or train anew")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path} is a checkpoint of {got}, but one of {expected} is needed")]
    Foreign { path: PathBuf, got: String, expected: String },
    #[error("{path} has no {what}; give a checkpoint that this version of the program wrote, or train anew")]
    Missing { path: PathBuf, what: String },
    #[error("{path} has {what} = {got}, but {expected} is needed{hint}")]
    Different { path: PathBuf, what: String, got: String, expected: String, hint: &'static str },
}

const WORDS: &str = "literate-diffusion";

/// Settings and positions, as text.
pub type Words = BTreeMap<String, String>;

/// Named numbers as they stand in a file.
pub struct Part {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Writes a file of parts, which says what kind it is.
pub fn write(path: &Path, kind: &str, words: &Words, parts: &[Part]) -> Result<(), std::io::Error> {
    let views = parts.iter().map(|part| {
        let view = TensorView::new(part.dtype, part.shape.clone(), &part.bytes).map_err(std::io::Error::other)?;
        Ok((part.name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, std::io::Error>>()?;
    // All words as one: the order of several would be another at each saving.
    let words = serde_json::to_string(&(kind, words))?;
    let file = safetensors::serialize(views, Some(HashMap::from([(WORDS.to_owned(), words)])))
        .map_err(std::io::Error::other)?;
    write_atomically(path, &file)
}

/// The kind of a file, its words and its parts. A file of another program has no words.
pub fn read(path: &Path) -> Result<(String, Words, Vec<Part>), CheckpointError> {
    let file = std::fs::read(path).map_err(|reason| CheckpointError::Unreadable { path: path.to_owned(), reason })?;
    let damaged = |error: SafeTensorError| CheckpointError::damaged(path, error);
    let (_, header) = SafeTensors::read_metadata(&file).map_err(damaged)?;
    let tensors = SafeTensors::deserialize(&file).map_err(damaged)?;
    let words = header.metadata().as_ref().and_then(|metadata| metadata.get(WORDS));
    let (kind, words) = words
        .and_then(|words| serde_json::from_str(words).ok())
        .unwrap_or_else(|| ("another program".to_owned(), Words::new()));
    let part = |(name, view): (String, TensorView)| {
        let (dtype, shape, bytes) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        Part { name, dtype, shape, bytes }
    };
    Ok((kind, words, tensors.tensors().into_iter().map(part).collect()))
}

impl CheckpointError {
    /// A file that says what cannot be.
    pub fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl Checkpoint {
    pub fn save(&self, path: &Path) -> Result<(), std::io::Error> {
        let part = |(name, array): (&String, &ArrayD<f32>)| {
            let bytes = array.iter().flat_map(|x| x.to_le_bytes()).collect();
            Part { name: name.clone(), dtype: Dtype::F32, shape: array.shape().to_vec(), bytes }
        };
        write(path, &self.kind, &self.words, &self.arrays.iter().map(part).collect::<Vec<_>>())
    }

    pub fn load(path: &Path, kind: &str) -> Result<Self, CheckpointError> {
        let (got, words, parts) = read(path)?;
        if got != kind {
            return Err(CheckpointError::Foreign { path: path.to_owned(), got, expected: kind.to_owned() });
        }
        let mut arrays = BTreeMap::new();
        for Part { name, dtype, shape, bytes } in parts {
            if dtype != Dtype::F32 {
                return Err(CheckpointError::damaged(path, format!("{name} holds {dtype:?}, not F32")));
            }
            let numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let array = ArrayD::from_shape_vec(shape, numbers)
                .map_err(|error| CheckpointError::damaged(path, format!("{name}: {error}")))?;
            if let Some(x) = array.iter().find(|x: &&f32| !x.is_finite()) {
                return Err(CheckpointError::damaged(path, format!("{name} holds {x}, which is not a finite number")));
            }
            arrays.insert(name, array);
        }
        Ok(Self { kind: got, words, arrays })
    }

    /// The array of this name, or an error that names it.
    pub fn array(&self, path: &Path, name: &str) -> Result<&ArrayD<f32>, CheckpointError> {
        let missing = || CheckpointError::Missing { path: path.to_owned(), what: format!("array {name}") };
        self.arrays.get(name).ok_or_else(missing)
    }

    /// The number that stands under this name, or an error that names it.
    pub fn number(&self, path: &Path, name: &str) -> Result<u64, CheckpointError> {
        let number = self.words.get(name).and_then(|text| text.parse().ok());
        number.ok_or_else(|| CheckpointError::Missing { path: path.to_owned(), what: format!("whole number {name}") })
    }
}
