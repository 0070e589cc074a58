//! What memory is mapped, and how: by its seals where there are some, by its having no name
//! elsewhere.

use std::fs::File;
use std::io;
use std::sync::Arc;

#[cfg(target_os = "linux")]
use rustix::fs::{MemfdFlags, SealFlags};

use super::Backing;
use crate::process::os::{self, Descriptor, WithoutSealedMemory};
use crate::process::shared::tests::{Forged, on_disk, refused, sent};
use crate::process::shared::{Part, Shared, SharedMut};
use crate::process::wire::alone;

/// What the kernel says of the mapping of an array.
fn smaps(array: &Shared<u64>) -> (String, u64, u64) {
    let text = std::fs::read_to_string("/proc/self/smaps").expect("Linux has /proc");
    let begin = format!("{:x}-", array.as_ptr() as usize);
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&begin));
    let first = lines.next().expect("it is mapped").to_owned();
    let mut kib = |name: &str| -> u64 {
        let words = lines.find_map(|line| line.strip_prefix(name));
        let word = words.and_then(|words| words.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).expect("a number")
    };
    let resident = kib("Rss:");
    (first, resident, kib("Anonymous:"))
}

/// A shared one is refused by Linux before 6.7: `tests/process_refused.rs` plays that.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_mapping_is_private_and_copies_nothing() {
    const LEN: usize = 8 << 20; // 64 MiB
    let array = Shared::<u64>::build(LEN, |items| items.fill(1)).expect("memory");
    let other: Shared<u64> = sent(&array).expect("it comes");
    for array in [&array, &other] {
        assert_eq!(array.iter().sum::<u64>(), LEN as u64);
        let (mapping, resident, copied) = smaps(array);
        assert!(mapping.contains(" r--p "), "{mapping}");
        assert!(resident >= 64 << 10, "{resident} KiB resident of {mapping}");
        assert_eq!(copied, 0, "KiB copied of {mapping}");
    }
}

/// Memory of the kernel's with such seals.
#[cfg(target_os = "linux")]
fn memory(flags: MemfdFlags, seals: SealFlags) -> Arc<Descriptor> {
    let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | flags).expect("memory");
    rustix::fs::ftruncate(&file, 2 << 20).expect("room");
    if !seals.is_empty() {
        rustix::fs::fcntl_add_seals(&file, seals).expect("they can be added");
    }
    Arc::new(file)
}

#[cfg(target_os = "linux")]
fn read_only(file: &Descriptor) -> Arc<Descriptor> {
    Arc::new(os::read_only_again(file).expect("it can be opened again"))
}

/// Of each of the three seals, and of what is no seal at all: only all three will do, of ordinary
/// memory.
#[cfg(target_os = "linux")]
#[test]
fn memory_with_other_seals_is_refused() {
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    let sealable = |seals| memory(MemfdFlags::ALLOW_SEALING, seals);
    let sent_as_array = |file: Arc<Descriptor>| {
        sent::<_, Shared<u64>>(&Forged((3_u64, 8_u64), Some(file))).map(drop)
    };
    let sent_as_part = |file: Arc<Descriptor>| {
        sent::<_, Part<u64>>(&Forged((0_u64, 3_u64, 8_u64, true), Some(file))).map(drop)
    };
    for without in [false, true] {
        let _without = without.then(WithoutSealedMemory::begin);
        sent_as_array(sealable(all)).expect("it has all seals");
        sent_as_array(sealable(all | SealFlags::SEAL)).expect("it has all seals");
        for left_out in [SealFlags::WRITE, SealFlags::SHRINK, SealFlags::GROW] {
            for more in [SealFlags::empty(), SealFlags::SEAL, SealFlags::FUTURE_WRITE] {
                let seals = all.difference(left_out) | more;
                let error = sent_as_array(sealable(seals)).expect_err("a seal is missing");
                assert!(error.contains("not sealed"), "{seals:?}: {error}");
            }
        }
        for left_out in [SealFlags::SHRINK, SealFlags::GROW] {
            let seals = (SealFlags::SHRINK | SealFlags::GROW).difference(left_out);
            let error = sent_as_part(sealable(seals)).expect_err("a seal is missing");
            assert!(error.contains("length could change"), "{seals:?}: {error}");
        }
    }
    // Opened to be read, and without a name, so as a temporary file is: the sender can still write
    // and shorten it.
    let unsealable = memory(MemfdFlags::empty(), SealFlags::empty());
    let error = sent_as_array(read_only(&unsealable)).expect_err("it has no seals");
    assert!(error.contains("cannot make"), "{error}");
    let error = sent_as_part(unsealable).expect_err("it has no seals");
    assert!(error.contains("length could change"), "{error}");
    if let Ok(huge) =
        rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB)
    {
        rustix::fs::ftruncate(&huge, 2 << 20).expect("room");
        rustix::fs::fcntl_add_seals(&huge, all).expect("they can be added");
        let huge = Arc::new(huge);
        let error = sent_as_array(Arc::clone(&huge)).expect_err("its pages are huge");
        assert!(error.contains("not sealed"), "{error}");
        let error = sent_as_part(huge).expect_err("its pages are huge");
        assert!(error.contains("length could change"), "{error}");
    }
}

/// Temporary files are for where there is no other memory, on both sides.
#[test]
fn temporary_files_are_refused_where_memory_can_be_sealed() {
    if !os::makes_sealed_memory().expect("it can be found out") {
        return;
    }
    let array = on_disk(&[1, 2, 3]);
    refused::<u64>(&array, "a process that cannot make memory that is");
    let part = || Forged((0_u64, 3_u64, 8_u64, true), Some(disk_part()));
    let error = sent::<_, Part<u64>>(&part())
        .map(drop)
        .expect_err("no seals");
    assert!(error.contains("length could change"), "{error}");
    let _without = WithoutSealedMemory::begin();
    assert_eq!(sent::<_, Shared<u64>>(&array).expect("it comes")[2], 3);
    sent::<_, Part<u64>>(&part()).map(drop).expect("it comes");
    // There, too, it has to be a file, without a name, and not to be written by those who read.
    let still = "could still be written";
    refused::<u64>(&Forged((3_u64, 8_u64), Some(disk_part())), still);
    let named = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(named.path(), [1; 24]).expect("room");
    let (socket, _peer) = os::stream_pair().expect("sockets");
    let open = |path: &std::path::Path| File::open(path).expect("it is there").into();
    for no_file in [
        socket,
        open(named.path()),
        open("/dev/zero".as_ref()),
        open("/".as_ref()),
    ] {
        let no_file = Some(Arc::new(no_file));
        refused::<u64>(&Forged((3_u64, 8_u64), no_file.clone()), still);
        let forged = Forged((0_u64, 3_u64, 8_u64, true), no_file);
        let error = sent::<_, Part<u64>>(&forged)
            .map(drop)
            .expect_err("no file");
        assert!(error.contains("length could change"), "{error}");
    }
}

fn disk_part() -> Arc<Descriptor> {
    let backing = Backing::on_disk().expect("a temporary file");
    backing.write(&[1; 24]).expect("room");
    Arc::clone(backing.file())
}

/// A part's descriptor can do more than a worker of this crate does with it.
#[cfg(target_os = "linux")]
#[test]
fn seals_that_a_worker_has_settled_are_an_error_of_freeze() {
    let array = SharedMut::from_slice(&[1_u64; 100]).expect("memory");
    let (_, files) = alone::encode(&array.lend(0..1), Vec::new()).expect("it is lent");
    rustix::fs::fcntl_add_seals(&files[0], SealFlags::SEAL).expect("it can");
    let error = array.freeze().expect_err("there can be no more seals");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("settled its seals"), "{error}");

    let array = SharedMut::from_slice(&[1_u64; 100]).expect("memory");
    let (_, files) = alone::encode(&array.lend(0..1), Vec::new()).expect("it is lent");
    rustix::fs::fcntl_add_seals(&files[0], SealFlags::FUTURE_WRITE).expect("it can");
    sent::<_, Part<u64>>(&array.lend(0..1))
        .map(drop)
        .expect_err("no one may write it any more");
    assert_eq!(array.freeze().expect("it is sealed")[99], 1);
}
