//! The readers of picture files: what is right comes through, whatever is wrong is an error that says where.

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use literate_diffusion::data::{self, Pictures, Split, cifar100, digits, from_byte, idx, shapes, to_byte};
use literate_diffusion::{Error, Result};
use ndarray_rand::rand::{Rng, SeedableRng};
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

/// A picture of 28×28 pixels and its label, in the files of a folder.
fn mnist_folder(folder: &Path, start: &str, label: u8) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{start}-images-idx3-ubyte.gz")), gzip(&idx_file(&[1, 28, 28], &[7; 784]))).unwrap();
    fs::write(folder.join(format!("{start}-labels-idx1-ubyte")), idx_file(&[1], &[label])).unwrap();
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
        #![proptest_config(support::config())]

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
        // The second picture of fine class 99 cannot be of another coarse class than the first.
        assert_eq!(wrong(RECORD + 1, 99), RECORD as u64);
        assert_eq!(wrong_at(read_cifar(&[])).1, 0);
        assert_eq!(wrong_at(read_cifar(&[cifar(), vec![0]].concat())).1, 2 * RECORD as u64 + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..support::config() })]

        #[test]
        fn arbitrary_bytes_do_no_harm(start in prop::collection::vec(any::<u8>(), 0..8), length in 0..3 * RECORD) {
            let mut bytes = vec![start.first().copied().unwrap_or(0); length];
            let count = start.len().min(length);
            bytes[..count].copy_from_slice(&start[..count]);
            let _ = read_cifar(&bytes);
        }

        /// In a set with several pictures of each class, and fine classes 5c to 5c + 4 in coarse class c.
        #[test]
        fn most_flipped_bits_of_a_label_are_seen(picture in 0..300_usize, bit in 0..16_usize) {
            let mut bytes = shapes::records(3, 5);
            let at = picture * RECORD + bit / 8;
            bytes[at] ^= 1 << (bit % 8);
            let fine = bytes[picture * RECORD + 1];
            // Within the same five, a fine class is as good as another.
            let unseen = bit >= 8 && fine < 100 && fine / 5 == bytes[picture * RECORD];
            prop_assert_eq!(read_cifar(&bytes).is_ok(), unseen);
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
        let whole = idx_file(&[2, 28, 28], &[5; 2 * 784]);
        for (images_name, labels_name, packed) in [
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", true),
            ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false),
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let write = |name: &str, bytes: &[u8]| {
                fs::write(folder.path().join(name), if packed { gzip(bytes) } else { bytes.to_vec() }).unwrap();
            };
            write(images_name, &whole);
            let missing = idx::load(folder.path(), Split::Train).unwrap_err().to_string();
            assert!(missing.contains("train-labels-idx1-ubyte.gz"), "{missing}");
            write(labels_name, &labels());
            assert_eq!(idx::load(folder.path(), Split::Train), read_idx(&whole, &labels()));
            assert!(matches!(idx::load(folder.path(), Split::Test), Err(Error::File { .. })));
        }
    }

    /// Images of one folder are never joined with labels of another.
    #[test]
    fn one_folder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        mnist_folder(&folder.path().join("MNIST/raw"), "train", 1);
        assert_eq!(idx::load(folder.path(), Split::Train).unwrap().labels, [1]);
        mnist_folder(&folder.path().join("mnist"), "train", 2);
        assert_eq!(idx::load(folder.path(), Split::Train).unwrap().labels, [2]);
        mnist_folder(folder.path(), "train", 3);
        assert_eq!(idx::load(folder.path(), Split::Train).unwrap().labels, [3]);
        fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
        assert!(matches!(idx::load(folder.path(), Split::Train), Err(Error::File { .. })));
    }

    #[test]
    fn pictures_of_another_size_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (height, width, at) in [(27, 28, 8), (28, 32, 12)] {
            let images = idx_file(&[1, height, width], &vec![0; (height * width) as usize]);
            fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
            fs::write(folder.path().join("train-labels-idx1-ubyte"), idx_file(&[1], &[0])).unwrap();
            let (path, offset) = wrong_at(idx::load(folder.path(), Split::Train));
            assert_eq!((path, offset), (folder.path().join("train-images-idx3-ubyte"), at));
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
        for length in 0..packed.len() {
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

    /// A .gz that unpacks without end costs as much as the largest data set, no more.
    #[test]
    fn a_bomb_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.gz");
        let mut encoder = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
        io::copy(&mut io::repeat(0).take((1 << 28) + 1), &mut encoder).unwrap();
        encoder.finish().unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 3_000_000);
        assert!(matches!(data::read(&path), Err(Error::Malformed { offset: 0x1000_0000, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..support::config() })]

        /// Whatever stands in the files: pictures, or an error that names one of them.
        #[test]
        fn arbitrary_files_do_no_harm(
            images in prop::collection::vec(any::<u8>(), 0..64),
            labels in prop::collection::vec(any::<u8>(), 0..32),
            packed in any::<[bool; 2]>(),
            start in 0..5_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            // A right start leads deeper into the reader: that of gzip, or that of IDX in a sound .gz.
            let images = [&[0x1f, 0x8b, 8, 0][..start.min(4)], images.as_slice()].concat();
            let labels = [&[0, 0, 8, 1][..start.min(4)], labels.as_slice()].concat();
            fs::write(folder.path().join("t10k-images-idx3-ubyte.gz"), if packed[0] { gzip(&images) } else { images }).unwrap();
            fs::write(folder.path().join("t10k-labels-idx1-ubyte.gz"), if packed[1] { gzip(&labels) } else { labels }).unwrap();
            let (path, _) = wrong_at(idx::load(folder.path(), Split::Test));
            prop_assert!(path.starts_with(folder.path()) && path.is_file());
        }
    }

    #[test]
    fn missing_is_said() {
        assert!(matches!(data::read(Path::new("/no/such/file")), Err(Error::File { .. })));
        let message = idx::load(Path::new("/no/such/folder"), Split::Test).unwrap_err().to_string();
        assert_eq!(message, "/no/such/folder: there is no such folder");
        let folder = tempfile::tempdir().unwrap();
        let message = idx::load(folder.path(), Split::Test).unwrap_err().to_string();
        assert!(message.contains("there is none of the files t10k-images-idx3-ubyte.gz"), "{message}");
    }
}

/// The checksum of bytes, as gzip has it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

mod own_digits {
    use super::*;

    /// What scikit-learn's documentation says of the set, and the first digit that it shows.
    #[test]
    fn published() {
        let small = digits::stored().unwrap();
        assert_eq!((small.count(), small.height, small.width), (1797, 8, 8));
        let count = |digit| small.labels.iter().filter(|&&label| label == digit).count();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(count), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(small.pixels.iter().max(), Some(&16));
        let first = small.picture(0).unwrap();
        assert_eq!(&first[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
        assert_eq!(&first[56..], [0, 0, 6, 13, 10, 0, 0, 0]);
    }

    #[test]
    fn in_two_parts() {
        let (train, test) = (digits::load(Split::Train).unwrap(), digits::load(Split::Test).unwrap());
        assert_eq!((train.count(), test.count()), (1500, 297));
        assert_eq!((train.channels, train.height, train.width, train.pixels.len()), (1, 28, 28, 1500 * 784));
        let small = digits::stored().unwrap();
        assert_eq!([train.labels, test.labels.clone()].concat(), small.labels);
        assert_eq!(test.picture(0).unwrap(), digits::enlarge(small.picture(1500).unwrap()));
        assert_eq!(test.picture(296).unwrap(), digits::enlarge(small.picture(1796).unwrap()));
    }

    /// A full square has its middle full and its border empty; half a level is a middle grey.
    #[test]
    fn limit() {
        let full = digits::enlarge(&[16; 64]);
        let at = |picture: &[u8], row: usize, column: usize| picture[28 * row + column];
        assert_eq!([at(&full, 14, 14), at(&full, 5, 5), at(&full, 22, 22)], [255; 3]);
        assert_eq!([at(&full, 0, 14), at(&full, 2, 2), at(&full, 14, 2), at(&full, 14, 25)], [0; 4]);
        assert_eq!([at(&digits::enlarge(&[8; 64]), 14, 14), at(&digits::enlarge(&[4; 64]), 14, 14)], [128, 0]);
        assert_eq!(digits::enlarge(&[0; 64]), [0; 784]);
    }

    proptest! {
        #![proptest_config(support::config())]

        /// By another route: find the two small pixels on either side, and go from the one to the other.
        #[test]
        fn identity(digit in prop::collection::vec(0..=16_u8, 64), row in 0..28_usize, column in 0..28_usize) {
            let paper = |i: f64, j: f64| {
                let inside = (0.0..8.0).contains(&i) && (0.0..8.0).contains(&j);
                if inside { f64::from(digit[8 * i as usize + j as usize]) } else { 0.0 }
            };
            let centre = |r: usize| (r as f64 + 0.5 - 4.0) / 20.0 * 8.0 - 0.5;
            let (i, j) = (centre(row), centre(column));
            let (down, right) = (i - i.floor(), j - j.floor());
            let along = |i: f64| (1.0 - right) * paper(i, j.floor()) + right * paper(i, j.floor() + 1.0);
            let level = (1.0 - down) * along(i.floor()) + down * along(i.floor() + 1.0);
            let expected = (255.0 * (level / 8.0 - 0.5)).clamp(0.0, 255.0);
            let got = f64::from(digits::enlarge(&digit)[28 * row + column]);
            prop_assert!((got - expected).abs() <= 0.5 + 1e-9, "{got}, not {expected}");
        }

        /// The picture on its side is that of the digit on its side.
        #[test]
        fn round_trip(digit in prop::collection::vec(0..=16_u8, 64)) {
            let turned = |picture: &[u8], side: usize| -> Vec<u8> {
                (0..side * side).map(|i| picture[side * (i % side) + i / side]).collect()
            };
            prop_assert_eq!(turned(&digits::enlarge(&digit), 28), digits::enlarge(&turned(&digit, 8)));
        }
    }
}

mod own_shapes {
    use super::*;

    #[test]
    fn always_the_same() {
        let (train, test) = (shapes::load(Split::Train).unwrap(), shapes::load(Split::Test).unwrap());
        assert_eq!((train.count(), test.count()), (10_000, 2_000));
        assert_eq!((train.channels, train.height, train.width), (3, 32, 32));
        assert!(train.labels.iter().enumerate().all(|(i, &label)| usize::from(label) == i % 100));
        assert_eq!([checksum(&train.pixels), checksum(&test.pixels)], [3_099_486_100, 200_553_176]);
        assert_eq!(shapes::records(1, 7), shapes::records(1, 7));
        assert_ne!(shapes::records(1, 7), shapes::records(1, 8));
    }

    #[test]
    fn every_class_has_its_name() {
        let mut names: Vec<String> = (0..100).map(|class| shapes::name(class).unwrap()).collect();
        assert_eq!([&names[0], &names[99]], ["red disc", "black arrow"]);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
        assert_eq!([shapes::name(100), shapes::name(255)], [None, None]);
    }

    /// The percentage of 500 fresh pictures that the judge reads right after a change, and the mean of its fits.
    fn judged(seed: u64, mut change: impl FnMut(&mut [u8])) -> (f64, f64) {
        let pictures = read_cifar(&shapes::records(5, seed)).unwrap();
        let judge = shapes::Judge::default();
        let (mut right, mut fits) = (0, 0.0);
        for (i, &label) in pictures.labels.iter().enumerate() {
            let mut picture = pictures.picture(i).unwrap().to_vec();
            change(&mut picture);
            if let Some(verdict) = judge.verdict(&picture) {
                right += usize::from(verdict.class == label);
                fits += verdict.fit;
            }
        }
        let count = pictures.count() as f64;
        (100.0 * right as f64 / count, fits / count)
    }

    #[test]
    fn the_judge_is_right() {
        let (right, fit) = judged(11, |_| ());
        assert!(right >= 99.5 && fit > 0.97, "{right} %, fit {fit}");
    }

    /// A sample of a model is not as clean as what it learned from.
    #[test]
    fn the_judge_bears_noise() {
        let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let (right, fit) = judged(12, |picture| {
            for byte in picture {
                *byte = byte.saturating_add_signed(rng.random_range(-20..=20));
            }
        });
        assert!(right >= 98.0 && fit > 0.88, "{right} %, fit {fit}");
    }

    /// Red and blue exchanged, or upside down: the judge sees what is there, not what was meant.
    #[test]
    fn the_judge_is_not_told() {
        let (right, _) = judged(13, |picture| {
            let (red, rest) = picture.split_at_mut(1024);
            red.swap_with_slice(&mut rest[1024..]);
        });
        // Green, purple, pink, white and black stay nearest to themselves.
        assert!((45.0..=55.0).contains(&right), "{right} %");
        let (right, _) = judged(13, |picture| picture.chunks_exact_mut(1024).for_each(<[u8]>::reverse));
        // Triangle, star, heart, crescent and arrow have a right way up.
        assert!((45.0..=60.0).contains(&right), "{right} %");
    }

    #[test]
    fn nothing_is_not_called_a_shape() {
        let judge = shapes::Judge::default();
        assert_eq!(judge.verdict(&[]), None);
        assert_eq!(judge.verdict(&[9; 3071]), None);
        assert_eq!(judge.verdict(&[130; 3072]), None);
        let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(4);
        for _ in 0..50 {
            let noise: Vec<u8> = (0..3072).map(|_| rng.random()).collect();
            assert!(judge.verdict(&noise).is_none_or(|verdict| verdict.fit < 0.6));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..support::config() })]

        #[test]
        fn the_judge_never_panics(seed in any::<u64>(), few in 1..4_u8) {
            let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let picture: Vec<u8> = (0..3072).map(|_| 255 / few * rng.random_range(0..=few)).collect();
            if let Some(verdict) = shapes::Judge::default().verdict(&picture) {
                prop_assert!(verdict.class < 100 && verdict.fit <= 1.0);
            }
        }
    }
}

mod which_data {
    use super::*;

    #[test]
    fn without_a_folder_the_own() {
        let (pictures, source) = data::mnist(None, Split::Test).unwrap();
        assert_eq!((Ok(pictures), source.folder.as_deref()), (digits::load(Split::Test), None));
        assert_eq!(
            source.to_string(),
            "297 digits that come with the program (UCI optical digits); `cargo xtask data mnist` brings MNIST"
        );
        let (pictures, source) = data::cifar100(None, Split::Test).unwrap();
        assert_eq!((Ok(pictures), source.folder.as_deref()), (shapes::load(Split::Test), None));
        assert_eq!(
            source.to_string(),
            "2,000 pictures that the program draws (10 shapes in 10 colours); `cargo xtask data cifar100` brings CIFAR-100"
        );
    }

    #[test]
    fn with_a_folder_that_folder() {
        let folder = tempfile::tempdir().unwrap();
        mnist_folder(folder.path(), "train", 4);
        let (pictures, source) = data::mnist(Some(folder.path()), Split::Train).unwrap();
        assert_eq!((pictures.labels, source.folder.as_deref()), (vec![4], Some(folder.path())));
        let line = format!("1 pictures in MNIST's format from {} (MNIST itself has 60,000)", folder.path().display());
        assert_eq!(source.to_string(), line);
        fs::write(folder.path().join("test.bin"), shapes::records(100, 1)).unwrap();
        let (pictures, source) = data::cifar100(Some(folder.path()), Split::Test).unwrap();
        assert_eq!(pictures, shapes::load(Split::Train).unwrap());
        let line = format!("10,000 pictures in CIFAR-100's format from {}", folder.path().display());
        assert_eq!(source.to_string(), line);
    }

    /// What is asked for and broken is an error, not another set.
    #[test]
    fn never_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(matches!(data::mnist(Some(path), Split::Train), Err(Error::File { .. })));
        assert!(matches!(data::cifar100(Some(path), Split::Train), Err(Error::File { .. })));
        assert!(matches!(data::cifar100(Some(&path.join("no")), Split::Train), Err(Error::File { .. })));
        mnist_folder(path, "train", 10);
        fs::write(path.join("train.bin"), [0; RECORD - 1]).unwrap();
        assert!(matches!(data::mnist(Some(path), Split::Train), Err(Error::Malformed { offset: 8, .. })));
        assert!(matches!(data::cifar100(Some(path), Split::Train), Err(Error::Malformed { offset: 3073, .. })));
    }
}
