//! The readers of picture files: what is right comes through, whatever is wrong is an error that says where.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use literate_diffusion::data::{self, Pictures, Split, cifar100, from_byte, idx, to_byte};
use literate_diffusion::{Error, Result};
use proptest::prelude::*;

const RECORD: usize = 3074;

/// An IDX file of bytes.
fn idx_file(lengths: &[u32], numbers: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, lengths.len() as u8];
    lengths.iter().for_each(|length| bytes.extend(length.to_be_bytes()));
    bytes.extend(numbers);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two pictures of 2×3 pixels.
fn images() -> Vec<u8> {
    idx_file(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
}

fn labels() -> Vec<u8> {
    idx_file(&[2], &[3, 9])
}

/// Two records.
fn cifar() -> Vec<u8> {
    let pixels = (0..3072).map(|i| (i % 251) as u8).collect::<Vec<_>>();
    [[[19, 99].as_slice(), &pixels].concat(), [[0, 0].as_slice(), &pixels].concat()].concat()
}

fn read_idx(images: &[u8], labels: &[u8]) -> Result<Pictures> {
    idx::pictures(Path::new("images"), images, Path::new("labels"), labels)
}

fn read_cifar(bytes: &[u8]) -> Result<Pictures> {
    cifar100::pictures(Path::new("train.bin"), bytes)
}

/// Where the error says that the file is wrong.
#[track_caller]
fn wrong_at(result: Result<Pictures>) -> (PathBuf, u64) {
    match result {
        Err(Error::Malformed { path, offset, .. }) => (path, offset),
        other => panic!("{other:?}"),
    }
}

mod bytes {
    use super::*;

    #[test]
    fn round_trip() {
        for byte in 0..=255 {
            assert_eq!(to_byte(from_byte(byte)), byte);
        }
        assert_eq!([-7.0, 7.0, f32::NAN, f32::INFINITY].map(to_byte), [0, 255, 0, 255]);
        assert_eq!([to_byte(-1.0 + 0.49 / 127.5), to_byte(-1.0 + 0.51 / 127.5)], [0, 1]);
    }
}

mod idx_format {
    use super::*;

    #[test]
    fn comes_through() {
        let pictures = read_idx(&images(), &labels()).unwrap();
        assert_eq!((pictures.count(), pictures.channels, pictures.height, pictures.width), (2, 1, 2, 3));
        assert_eq!((pictures.labels.as_slice(), pictures.size()), ([3, 9].as_slice(), 6));
        assert_eq!(pictures.picture(1), Some([7, 8, 9, 10, 11, 12].as_slice()));
        assert_eq!(pictures.picture(2), None);
    }

    #[test]
    fn says_where_it_is_wrong() {
        let images_wrong_at = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = images();
            change(&mut bytes);
            let (path, offset) = wrong_at(read_idx(&bytes, &labels()));
            assert_eq!(path, Path::new("images"));
            offset
        };
        assert_eq!(images_wrong_at(&|bytes| bytes[0] = 1), 0);
        assert_eq!(images_wrong_at(&|bytes| bytes[1] = 1), 1);
        assert_eq!(images_wrong_at(&|bytes| bytes[2] = 13), 2);
        assert_eq!(images_wrong_at(&|bytes| bytes[3] = 1), 3);
        assert_eq!(images_wrong_at(&|bytes| bytes[11] = 0), 8);
        assert_eq!(images_wrong_at(&|bytes| bytes[12] = 255), 28); // far more is promised than there is
        assert_eq!(images_wrong_at(&|bytes| bytes[7] = 1), 22); // the second picture is too much
        assert_eq!(images_wrong_at(&|bytes| bytes.push(0)), 28);
        assert_eq!(images_wrong_at(&|bytes| bytes.truncate(20)), 20);
        assert_eq!(images_wrong_at(&|bytes| bytes.truncate(15)), 15);
        assert_eq!(images_wrong_at(&|bytes| bytes.clear()), 0);

        let labels_wrong_at = |labels: &[u8]| wrong_at(read_idx(&images(), labels));
        assert_eq!(labels_wrong_at(&idx_file(&[2], &[3, 10])), (PathBuf::from("labels"), 9));
        assert_eq!(labels_wrong_at(&idx_file(&[3], &[3, 1, 1])), (PathBuf::from("labels"), 4));
        assert_eq!(labels_wrong_at(&images()).1, 3);
    }

    /// A header that promises 2⁹⁶ bytes costs nothing.
    #[test]
    fn promises_are_not_believed() {
        let (_, offset) = wrong_at(read_idx(&idx_file(&[u32::MAX; 3], &[0; 8]), &labels()));
        assert_eq!(offset, 24);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(images in prop::collection::vec(any::<u8>(), 0..64), labels in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = read_idx(&images, &labels);
        }

        /// What follows a right start, too.
        #[test]
        fn arbitrary_lengths_do_no_harm(lengths in prop::array::uniform3(prop_oneof![0..4_u32, any::<u32>()]), numbers in prop::collection::vec(any::<u8>(), 0..40)) {
            let result = read_idx(&idx_file(&lengths, &numbers), &labels());
            let fits = lengths.iter().map(|&n| u128::from(n)).product::<u128>() == numbers.len() as u128;
            prop_assert_eq!(result.is_ok(), fits && lengths[0] == 2 && !numbers.is_empty());
        }

        #[test]
        fn every_truncation_is_an_error(length in 0..28_usize) {
            prop_assert_eq!(wrong_at(read_idx(&images()[..length], &labels())).1, length as u64);
        }

        /// A flipped bit in a header never gives pictures.
        #[test]
        fn every_bit_of_a_header_counts(bit in 0..128_usize) {
            let mut bytes = images();
            bytes[bit / 8] ^= 1 << (bit % 8);
            wrong_at(read_idx(&bytes, &labels()));
        }
    }
}

mod cifar100_format {
    use super::*;

    #[test]
    fn comes_through() {
        let pictures = read_cifar(&cifar()).unwrap();
        assert_eq!((pictures.count(), pictures.channels, pictures.height, pictures.width), (2, 3, 32, 32));
        assert_eq!(pictures.labels, [99, 0]);
        assert_eq!(pictures.picture(1).unwrap(), &cifar()[RECORD + 2..]);
    }

    #[test]
    fn says_where_it_is_wrong() {
        let wrong = |at: usize, byte: u8| {
            let mut bytes = cifar();
            bytes[at] = byte;
            wrong_at(read_cifar(&bytes)).1
        };
        assert_eq!([wrong(0, 20), wrong(1, 100), wrong(RECORD, 20), wrong(RECORD + 1, 255)], [0, 1, 3074, 3075]);
        assert_eq!(wrong_at(read_cifar(&[])).1, 0);
        assert_eq!(wrong_at(read_cifar(&[cifar(), vec![0]].concat())).1, 2 * RECORD as u64 + 1);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(start in prop::collection::vec(any::<u8>(), 0..8), length in 0..3 * RECORD) {
            let mut bytes = vec![start.first().copied().unwrap_or(0); length];
            let count = start.len().min(length);
            bytes[..count].copy_from_slice(&start[..count]);
            let _ = read_cifar(&bytes);
        }

        #[test]
        fn every_truncation_is_an_error(length in 0..2 * RECORD) {
            let result = read_cifar(&cifar()[..length]);
            if length == RECORD {
                prop_assert_eq!(result.unwrap().count(), 1);
            } else {
                prop_assert_eq!(wrong_at(result).1, length as u64);
            }
        }
    }
}

mod files {
    use super::*;

    #[test]
    fn packed_or_not_under_either_name() {
        for (images_name, labels_name, packed) in [
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", true),
            ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false),
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let write = |name: &str, bytes: Vec<u8>| {
                fs::write(folder.path().join(name), if packed { gzip(&bytes) } else { bytes }).unwrap();
            };
            write(images_name, images());
            let missing = idx::load(folder.path(), Split::Train).unwrap_err().to_string();
            assert!(missing.contains("train-labels-idx1-ubyte.gz"), "{missing}");
            write(labels_name, labels());
            assert_eq!(idx::load(folder.path(), Split::Train), read_idx(&images(), &labels()));
            assert!(matches!(idx::load(folder.path(), Split::Test), Err(Error::File { .. })));
        }
    }

    #[test]
    fn cifar_in_its_folder_or_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cifar-100-binary")).unwrap();
        fs::write(folder.path().join("cifar-100-binary/test.bin"), cifar()).unwrap();
        assert_eq!(cifar100::load(folder.path(), Split::Test), read_cifar(&cifar()));
        fs::write(folder.path().join("train.bin"), &cifar()[..RECORD]).unwrap();
        assert_eq!(cifar100::load(folder.path(), Split::Train).unwrap().count(), 1);
    }

    /// gzip has a checksum: a file that is cut off is never taken, and no flipped bit changes the data unseen. (A few bits
    /// of the header and the padding say nothing of the data.)
    #[test]
    fn no_damage_to_a_gz_goes_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.gz");
        let packed = gzip(&images());
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            data::read(&path)
        };
        assert_eq!(read(&packed).unwrap(), images());
        for length in 1..packed.len() {
            match read(&packed[..length]) {
                Err(Error::Malformed { offset, .. }) => assert!(offset <= length as u64),
                other => panic!("{length} bytes of it: {other:?}"),
            }
        }
        for bit in 0..8 * packed.len() {
            let mut bytes = packed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match read(&bytes) {
                Ok(unpacked) => assert_eq!(unpacked, images(), "bit {bit}"),
                Err(error) => assert!(matches!(error, Error::Malformed { .. }), "bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn missing_is_said() {
        assert!(matches!(data::read(Path::new("/no/such/file")), Err(Error::File { .. })));
        let message = idx::load(Path::new("/no/such/folder"), Split::Test).unwrap_err().to_string();
        assert!(
            message.starts_with("/no/such/folder: there is none of the files t10k-images-idx3-ubyte.gz"),
            "{message}"
        );
    }
}
