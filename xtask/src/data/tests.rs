//! Downloads from a server on this machine that misbehaves, archives that mean harm, and copies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::EntryType;

use super::*;

/// 200,000 bytes that do not repeat.
fn content() -> Vec<u8> {
    (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What a server does with a request.
#[derive(Clone, Copy)]
enum Reply {
    /// The part that is asked for.
    Good,
    /// The whole file, whatever is asked for.
    WithoutRanges,
    /// The connection breaks after so many bytes.
    Breaks(usize),
    /// The same from a server that knows no ranges.
    BreaksWithoutRanges(usize),
    /// A few bytes, and then nothing for a second.
    Stalls,
    /// Two bytes every 20 ms.
    Trickles,
    /// This status.
    Says(&'static str),
    /// A part that begins elsewhere.
    WrongPart,
    /// A length beyond all bounds.
    Huge,
}

/// Answers each connection in turn as told, the last way for all that follow. The requests that came are kept.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(content: Vec<u8>, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, replies) = (requests.clone(), replies.to_vec());
        thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let (content, seen, reply) = (content.clone(), seen.clone(), replies[i.min(replies.len() - 1)]);
                // A client that hangs up is no trouble of the server.
                thread::spawn(move || stream.and_then(|stream| serve(&stream, &content, reply, &seen)));
            }
        });
        Self { url, requests }
    }

    /// The path of each request and the range asked for.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: &TcpStream, content: &[u8], reply: Reply, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let path = lines[0].split(' ').nth(1).unwrap_or_default();
    let range = lines.iter().find_map(|line| line.strip_prefix("range: bytes=").map(str::to_owned));
    seen.lock().unwrap().push(format!("{path} {}", range.as_deref().unwrap_or("-")));

    let knows_ranges = !matches!(reply, Reply::WithoutRanges | Reply::BreaksWithoutRanges(_));
    let from = range.filter(|_| knows_ranges).map(|range| range.trim_end_matches('-').parse::<usize>().unwrap());
    let start = from.unwrap_or(0);
    if let Reply::Says(status) = reply {
        return write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if from.is_some() && start >= content.len() {
        let status = "416 Range Not Satisfiable";
        let range = format!("bytes */{}", content.len());
        return write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Range: {range}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let body = &content[start..];
    let length = if matches!(reply, Reply::Huge) { u64::MAX } else { body.len() as u64 };
    match from {
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
        Some(from) => {
            let claimed = if matches!(reply, Reply::WrongPart) { from + 1 } else { from };
            let range = format!("bytes {claimed}-{}/{}", content.len() - 1, content.len());
            write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: {range}\r\n")?;
        }
    }
    write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    match reply {
        Reply::Breaks(after) | Reply::BreaksWithoutRanges(after) => stream.write_all(&body[..after.min(body.len())]),
        Reply::Stalls => {
            stream.write_all(&body[..10])?;
            thread::sleep(Duration::from_secs(1));
            Ok(())
        }
        Reply::Trickles => body.chunks(2).try_for_each(|bytes| {
            thread::sleep(Duration::from_millis(20));
            stream.write_all(bytes)
        }),
        _ => stream.write_all(body),
    }
}

/// Asks again at once, and takes small files only. A busy machine may be slow to answer itself: it is given time.
fn brisk() -> Download {
    let (patience, pause) = (Duration::from_secs(20), Duration::from_millis(1));
    Download { patience, least: 1000, most: 1_000_000, attempts: 3, pause }
}

/// A set of one file, with the hash of `content()`.
const ONE: Set = Set {
    name: "one",
    title: "One",
    mirrors: ["", ""],
    archive: None,
    files: &[hashed("a.bin", "2c4085b1ab9817526311b5a5b04451140dc922067c6922a59a77e1503918357b")],
};

/// The same in an archive.
const PACKED: Set = Set { name: "packed", archive: Some("set.tar.gz"), ..ONE };

struct Setting {
    _folder: tempfile::TempDir,
    home: Home,
}

fn setting(set: &Set) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path(), set);
    Setting { _folder: folder, home }
}

impl Setting {
    /// The file of the set in its folder, where it was brought.
    fn brought(&self) -> Option<Vec<u8>> {
        fs::read(self.home.folder.join("a.bin")).ok()
    }

    fn part(&self) -> PathBuf {
        self.home.part.join("a.bin.part")
    }
}

/// Brings the set of one file from such servers.
fn bring_one(setting: &Setting, servers: &[&Server]) -> Result<()> {
    let origins: Vec<Origin> = servers.iter().map(|server| Origin::of(&server.url)).collect();
    bring(&ONE, &setting.home, &origins, &brisk())
}

#[test]
fn comes_whole_and_only_once() {
    let (setting, server) = (setting(&ONE), Server::new(content(), &[Reply::Good]));
    assert!(!setting.home.is_right(&ONE));
    bring_one(&setting, &[&server]).unwrap();
    assert_eq!(setting.brought(), Some(content()));
    assert_eq!(server.requests(), ["/a.bin -"]);
    assert!(setting.home.is_right(&ONE) && !setting.home.part.exists() && !setting.home.old.exists());
}

#[test]
fn goes_on_after_each_break() {
    let (setting, server) =
        (setting(&ONE), Server::new(content(), &[Reply::Breaks(70_000), Reply::Breaks(50_000), Reply::Good]));
    bring_one(&setting, &[&server]).unwrap();
    assert_eq!(setting.brought(), Some(content()));
    assert_eq!(server.requests(), ["/a.bin -", "/a.bin 70000-", "/a.bin 120000-"]);
}

/// A run that was killed leaves a part, or even the whole, without its name.
#[test]
fn goes_on_after_a_kill() {
    for (have, asked) in [(1, "/a.bin 1-"), (199_999, "/a.bin 199999-"), (200_000, "/a.bin 200000-")] {
        let (setting, server) = (setting(&ONE), Server::new(content(), &[Reply::Good]));
        make_folder(&setting.home.part).unwrap();
        fs::write(setting.part(), &content()[..have]).unwrap();
        bring_one(&setting, &[&server]).unwrap();
        assert_eq!(setting.brought(), Some(content()));
        assert_eq!(server.requests(), [asked]);
    }
}

/// A part that is longer than the file, or a server that sends another part than was asked for: from the start again.
#[test]
fn begins_again_where_the_parts_do_not_fit() {
    let (first, server) = (setting(&ONE), Server::new(content(), &[Reply::Good]));
    make_folder(&first.home.part).unwrap();
    fs::write(first.part(), [content(), vec![1]].concat()).unwrap();
    bring_one(&first, &[&server]).unwrap();
    assert_eq!(first.brought(), Some(content()));

    let (second, server) = (setting(&ONE), Server::new(content(), &[Reply::Breaks(10), Reply::WrongPart, Reply::Good]));
    bring_one(&second, &[&server]).unwrap();
    assert_eq!(second.brought(), Some(content()));
    assert_eq!(server.requests(), ["/a.bin -", "/a.bin 10-", "/a.bin -"]);
}

#[test]
fn a_server_without_ranges() {
    let replies = [Reply::BreaksWithoutRanges(150_000), Reply::WithoutRanges];
    let (setting, server) = (setting(&ONE), Server::new(content(), &replies));
    bring_one(&setting, &[&server]).unwrap();
    assert_eq!(setting.brought(), Some(content()));
    assert_eq!(server.requests(), ["/a.bin -", "/a.bin 150000-"]);
}

/// One that always breaks at the same place is given up.
#[test]
fn a_server_that_never_gets_further() {
    let (setting, server) = (setting(&ONE), Server::new(content(), &[Reply::BreaksWithoutRanges(500)]));
    let error = bring_one(&setting, &[&server]).unwrap_err().to_string();
    assert!(error.contains("the connection broke after 500 of 200000 bytes"), "{error}");
    assert_eq!(server.requests().len(), 3);
    assert_eq!(setting.brought(), None);
}

#[test]
fn the_second_mirror_after_404() {
    let (setting, missing, good) = (
        setting(&ONE),
        Server::new(content(), &[Reply::Says("404 Not Found")]),
        Server::new(content(), &[Reply::Good]),
    );
    bring_one(&setting, &[&missing, &good]).unwrap();
    assert_eq!(setting.brought(), Some(content()));
    assert_eq!((missing.requests().len(), good.requests().len()), (1, 1), "404 is not asked again");
    let other = Server::new(content(), &[Reply::Says("403 Forbidden")]);
    fs::remove_dir_all(&setting.home.folder).unwrap();
    let error = bring_one(&setting, &[&missing, &other]).unwrap_err().to_string();
    assert!(error.contains("404 Not Found") && error.contains("403 Forbidden"), "{error}");
}

/// The second mirror goes on with what the first one gave.
#[test]
fn a_mirror_that_is_down_for_a_moment_or_for_good() {
    let busy = Reply::Says("503 Service Unavailable");
    let (first, server) = (setting(&ONE), Server::new(content(), &[busy, busy, Reply::Good]));
    bring_one(&first, &[&server]).unwrap();
    assert_eq!((first.brought(), server.requests().len()), (Some(content()), 3));

    let (second, down) = (setting(&ONE), Server::new(content(), &[Reply::Breaks(30_000), busy]));
    let good = Server::new(content(), &[Reply::Good]);
    bring_one(&second, &[&down, &good]).unwrap();
    assert_eq!(second.brought(), Some(content()));
    assert_eq!(good.requests(), ["/a.bin 30000-"]);
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let setting = setting(&ONE);
    let error = bring(&ONE, &setting.home, &[Origin::of(&url)], &brisk()).unwrap_err().to_string();
    assert!(error.starts_with("a.bin could not be brought: http://127.0.0.1:"), "{error}");
}

#[test]
fn a_slow_server_is_given_up() {
    for reply in [Reply::Stalls, Reply::Trickles] {
        let (setting, server) = (setting(&ONE), Server::new(content(), &[reply]));
        let start = Instant::now();
        let impatient = Download { patience: Duration::from_millis(300), ..brisk() };
        let error = bring(&ONE, &setting.home, &[Origin::of(&server.url)], &impatient).unwrap_err().to_string();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(error.contains("the connection broke after") || error.contains("bytes came in"), "{error}");
        assert_eq!(setting.brought(), None);
        let good = Server::new(content(), &[Reply::Good]);
        bring_one(&setting, &[&good]).unwrap();
        assert_ne!(good.requests(), ["/a.bin -"], "what came is used");
    }
}

#[test]
fn a_file_beyond_all_bounds_is_not_taken() {
    let (first, server) = (setting(&ONE), Server::new(content(), &[Reply::Huge]));
    let error = bring_one(&first, &[&server]).unwrap_err().to_string();
    assert!(error.contains("larger than 1 MB"), "{error}");
    let (second, server) = (setting(&ONE), Server::new(vec![0; 1_100_000], &[Reply::Good]));
    assert!(bring_one(&second, &[&server]).is_err());
    // What is said to be left, and what is here, add up to more than 2⁶⁴.
    let (third, server) = (setting(&ONE), Server::new(content(), &[Reply::Breaks(10), Reply::Huge]));
    let error = bring_one(&third, &[&server]).unwrap_err().to_string();
    assert!(error.contains("larger than 1 MB"), "{error}");
}

/// The file is kept out, both hashes are said, and the second mirror starts from nothing.
#[test]
fn a_wrong_hash() {
    let mut wrong = content();
    wrong[100_000] ^= 1;
    let (setting, server) = (setting(&ONE), Server::new(wrong.clone(), &[Reply::Good]));
    let error = bring_one(&setting, &[&server]).unwrap_err().to_string();
    let path = setting.home.part.join("wrong");
    fs::write(&path, wrong).unwrap();
    let Check::Sha256(expected) = ONE.files[0].check else { unreachable!() };
    assert!(error.contains(expected) && error.contains(&sha256(&path).unwrap()), "{error}");
    assert!(setting.brought().is_none() && !setting.part().exists());
    let good = Server::new(content(), &[Reply::Good]);
    bring_one(&setting, &[&server, &good]).unwrap();
    assert_eq!((setting.brought(), good.requests()), (Some(content()), vec!["/a.bin -".to_owned()]));
}

/// What is there stays until there is something better.
#[test]
fn what_others_put_there_is_left_alone() {
    let (setting, server) = (setting(&ONE), Server::new(content(), &[Reply::Good]));
    fs::create_dir_all(&setting.home.folder).unwrap();
    fs::write(setting.home.folder.join("notes.txt"), "mine").unwrap();
    let error = bring_one(&setting, &[&server]).unwrap_err().to_string();
    assert!(error.contains("notes.txt") && error.contains("move it away"), "{error}");
    assert!(setting.home.folder.join("notes.txt").exists() && server.requests().is_empty());
}

#[test]
fn damage_is_seen_and_mended() {
    let (setting, server) = (setting(&ONE), Server::new(content(), &[Reply::Good]));
    make_folder(&setting.home.folder).unwrap();
    fs::write(setting.home.folder.join("a.bin"), &content()[1..]).unwrap();
    assert!(!setting.home.is_right(&ONE));
    let missing = Server::new(content(), &[Reply::Says("404 Not Found")]);
    assert!(bring_one(&setting, &[&missing]).is_err());
    assert_eq!(setting.brought().unwrap(), content()[1..]);
    bring_one(&setting, &[&server]).unwrap();
    assert!(setting.home.is_right(&ONE));
    assert_eq!(setting.brought(), Some(content()));
}

/// /dev/full is a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let (setting, server) = (setting(&ONE), Server::new(content(), &[Reply::Good]));
    make_folder(&setting.home.part).unwrap();
    std::os::unix::fs::symlink("/dev/full", setting.part()).unwrap();
    let error = format!("{:#}", bring_one(&setting, &[&server, &server]).unwrap_err());
    assert!(error.contains("a.bin.part cannot be written") && error.contains("No space left"), "{error}");
    assert_eq!(server.requests().len(), 1, "the second mirror cannot help");
}

/// An archive, and what is in it: a name as it stands, a kind, and bytes.
fn tar_gz(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for &(name, kind, bytes) in entries {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn bring_packed(archive: Vec<u8>) -> (Setting, Result<()>) {
    let (setting, server) = (setting(&PACKED), Server::new(archive, &[Reply::Good]));
    let result = bring(&PACKED, &setting.home, &[Origin::of(&server.url)], &brisk());
    (setting, result)
}

#[test]
fn an_archive() {
    let content = content();
    let archive = tar_gz(&[
        ("cifar-100-binary/", EntryType::Directory, &[]),
        ("cifar-100-binary/names.txt", EntryType::Regular, b"apple"),
        ("cifar-100-binary/a.bin", EntryType::Regular, &content),
    ]);
    let (setting, result) = bring_packed(archive.clone());
    result.unwrap();
    assert_eq!(setting.brought().unwrap(), content);
    assert_eq!(fs::read_dir(&setting.home.folder).unwrap().count(), 1, "nothing but the files of the set");

    for length in [0, 1, 20, 300, archive.len() / 2, archive.len() - 1] {
        let (setting, result) = bring_packed(archive[..length].to_vec());
        let error = result.unwrap_err().to_string();
        assert!(error.contains("damaged or incomplete") || error.contains("has no a.bin"), "{length}: {error}");
        assert!(setting.brought().is_none() && !setting.home.part.join("set.tar.gz.part").exists());
    }
}

#[test]
fn an_archive_with_other_content() {
    let (setting, result) = bring_packed(tar_gz(&[("a.bin", EntryType::Regular, b"another")]));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("SHA-256") && error.contains("was thrown away"), "{error}");
    assert!(setting.brought().is_none());
    let (_, result) = bring_packed(tar_gz(&[("b.bin", EntryType::Regular, b"another")]));
    assert!(result.unwrap_err().to_string().contains("has no a.bin in it"));
}

#[test]
fn an_archive_that_means_harm() {
    let content = content();
    for (name, kind) in [
        ("../a.bin", EntryType::Regular),
        ("x/../../a.bin", EntryType::Regular),
        ("/tmp/a.bin", EntryType::Regular),
        ("a.bin", EntryType::Symlink),
        ("x/a.bin", EntryType::Link),
        ("a.bin", EntryType::Fifo),
        ("x", EntryType::Symlink),
        ("a.bin", EntryType::Char),
    ] {
        let bytes: &[u8] = if kind.is_file() { &content } else { &[] };
        let archive = tar_gz(&[(name, kind, bytes), ("a.bin", EntryType::Regular, &content)]);
        let (setting, result) = bring_packed(archive);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("was refused"), "{name} {kind:?}: {error}");
        assert!(setting.brought().is_none());
        let around: Vec<_> = fs::read_dir(setting._folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(around.len() == 1 && around[0] == setting.home.part, "{name}: {around:?}");
        assert_eq!(fs::read_dir(&setting.home.part).unwrap().count(), 0, "{name}");
    }
}

/// Four hundred million zeros in two million bytes, before the file that is wanted.
#[test]
fn an_archive_that_swells() {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    let size = unpack::MOST + 1_000_000;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "filler", io::repeat(0).take(size)).unwrap();
    header.set_size(5);
    builder.append_data(&mut header, "a.bin", b"hello".as_slice()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.tar.gz");
    fs::write(&path, builder.into_inner().unwrap().finish().unwrap()).unwrap();
    assert!(matches!(unpack::tar_gz(&path, &["a.bin"], folder.path()), Err(Failure::There(_))));
    assert!(!folder.path().join("a.bin.part").exists());
}

#[test]
fn from_a_folder() {
    let there = tempfile::tempdir().unwrap();
    let origin = [Origin::of(there.path().to_str().unwrap())];
    let one = setting(&ONE);
    let error = bring(&ONE, &one.home, &origin, &brisk()).unwrap_err().to_string();
    assert!(error.contains("a.bin cannot be read"), "{error}");
    fs::write(there.path().join("a.bin"), content()).unwrap();
    bring(&ONE, &one.home, &origin, &brisk()).unwrap();
    assert_eq!(one.brought(), Some(content()));
    assert_eq!(fs::read(there.path().join("a.bin")).unwrap(), content(), "a copy is a copy");

    // Unpacked, in a folder below, or in the archive.
    for place in ["a.bin", "set/a.bin", "set.tar.gz"] {
        let there = tempfile::tempdir().unwrap();
        make_folder(&there.path().join("set")).unwrap();
        let archive = tar_gz(&[("set/a.bin", EntryType::Regular, &content())]);
        fs::write(there.path().join(place), if place == "set.tar.gz" { archive } else { content() }).unwrap();
        let packed = setting(&PACKED);
        bring(&PACKED, &packed.home, &[Origin::of(there.path().to_str().unwrap())], &brisk()).unwrap();
        assert_eq!(packed.brought(), Some(content()), "{place}");
    }
}

/// The address of the folder, with a slash or without, or that of the archive.
#[test]
fn from_an_address() {
    let archive = tar_gz(&[("set/a.bin", EntryType::Regular, &content())]);
    for end in ["", "/", "/below", "/set.tar.gz"] {
        let (setting, server) = (setting(&PACKED), Server::new(archive.clone(), &[Reply::Good]));
        bring(&PACKED, &setting.home, &[Origin::of(&format!("{}{end}", server.url))], &brisk()).unwrap();
        let path = if end == "/below" { "/below/set.tar.gz -" } else { "/set.tar.gz -" };
        assert_eq!((setting.brought(), server.requests()), (Some(content()), vec![path.to_owned()]));
    }
}

/// Without a hash: the format, its lengths, and the checksum of the .gz.
#[test]
fn without_a_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.gz");
    let file = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let good = [[0, 0, 8, 1, 0, 0, 0, 3].as_slice(), &[1, 2, 3]].concat();
    let check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        check_idx(&path, &[3])
    };
    check(&file(&good)).unwrap();
    assert!(check(&file(&good[..10])).is_err());
    assert!(check(&file(&[good.as_slice(), &[4]].concat())).is_err());
    assert!(check(&file(&[[0, 0, 8, 1, 0, 0, 0, 2].as_slice(), &[1, 2]].concat())).is_err());
    assert!(check(&good).is_err() && check(&[]).is_err());
    let packed = file(&good);
    for length in 0..packed.len() {
        assert!(check(&packed[..length]).is_err(), "{length}");
    }
}

/// The names in the sets are those of the loader, and no hash is a slip of the pen.
#[test]
fn the_sets_make_sense() {
    for set in [&MNIST, &FASHION_MNIST, &CIFAR_100] {
        assert!(set.mirrors.iter().all(|mirror| mirror.starts_with("https://") && !mirror.ends_with('/')));
        for file in set.files {
            if let Check::Sha256(hash) = file.check {
                assert!(
                    hash.len() == 64 && hash.bytes().all(|byte| b"0123456789abcdef".contains(&byte)),
                    "{}",
                    file.name
                );
            }
        }
    }
}
