//! Shared arrays in one process: what is refused, what is sealed, both kinds of memory. Between
//! processes: `tests/process_shared.rs`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::backing::Backing;
use super::lent::Lent;
use super::{Part, Shared, SharedMut};
use crate::process::os::{self, Descriptor, WithoutSealedMemory};
use crate::process::wire::{alone, passing};

/// Through a message and back.
pub(super) fn sent<T: serde::Serialize, U: serde::de::DeserializeOwned>(
    value: &T,
) -> Result<U, String> {
    let (bytes, descriptors) = alone::encode(value, Vec::new())?;
    let copies = descriptors
        .iter()
        .map(|descriptor| descriptor.try_clone().expect("a descriptor"));
    alone::decode(&bytes, copies.collect())
}

/// A message of anybody's making.
pub(super) struct Forged<V>(pub(super) V, pub(super) Option<Arc<Descriptor>>);

impl<V: serde::Serialize> serde::Serialize for Forged<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(descriptor) = &self.1 {
            assert!(passing::leave(descriptor));
        }
        self.0.serialize(serializer)
    }
}

pub(super) fn on_disk(items: &[u64]) -> Shared<u64> {
    let backing = Backing::on_disk().expect("a temporary file");
    backing
        .write(bytemuck::cast_slice(items))
        .expect("room on the disk");
    Shared::of_sealed(Some(backing), items.len()).expect("it can be read")
}

pub(super) fn refused<T: super::Pod>(forged: &impl serde::Serialize, why: &str) {
    match sent::<_, Shared<T>>(forged) {
        Err(text) => assert!(text.contains(why), "{text} instead of {why}"),
        Ok(array) => panic!("{array:?} instead of {why}"),
    }
}

#[test]
fn both_kinds_of_memory_come_as_they_went() {
    let items: Vec<u64> = (0..5000).collect();
    for without in [false, true] {
        let _without = without.then(WithoutSealedMemory::begin);
        come_as_they_went(&items);
    }
    // What was made before memory files could no longer be made.
    let sealed = Shared::from_slice(&items).expect("memory");
    let _without = WithoutSealedMemory::begin();
    let back: Shared<u64> = sent(&sealed).expect("the kernel has sealed it");
    assert!(back == sealed);
}

fn come_as_they_went(items: &[u64]) {
    for array in [
        Shared::from_slice(items).expect("memory"),
        Shared::build(5000, |new| new.copy_from_slice(items)).expect("memory"),
    ] {
        let copy = array.clone();
        let nested = (1_u8, Some(vec![array.clone(), array]), "end".to_owned());
        type Nested = (u8, Option<Vec<Shared<u64>>>, String);
        let (one, arrays, end): Nested = sent(&nested).expect("it comes");
        let arrays = arrays.expect("it was there");
        drop(nested);
        assert_eq!((one, end.as_str(), arrays.len()), (1, "end", 2));
        assert!(arrays.iter().all(|array| array[..] == items[..]));
        // And once more: what was received can be sent.
        let again: Shared<u64> = sent(&arrays[1]).expect("it comes");
        drop(arrays);
        assert!(again == copy);
        assert_eq!(again.view()[4999], 4999);
        let view = again.view_as((50, 100)).expect("the shape fits");
        assert_eq!(view[[1, 2]], 102);
        assert!(again.view_as((51, 100)).is_err());
    }
}

#[test]
fn arrays_of_any_shape_are_row_major() {
    let square = ndarray::Array2::from_shape_fn((30, 20), |(i, j)| (100 * i + j) as u32);
    for (array, first) in [(square.view(), 1), (square.t(), 100)] {
        let shared = Shared::from_array(array).expect("memory");
        assert_eq!(shared[1], first);
        let back = shared.view_as(array.raw_dim()).expect("the same shape");
        assert_eq!(back, array);
    }
}

#[test]
fn empty_arrays_and_elements_without_size() {
    let none = Shared::<f64>::from_slice(&[]).expect("no memory is needed");
    assert!(none.is_empty() && none.view().is_empty());
    let none: Shared<f64> = sent(&none).expect("it comes");
    assert!(none.is_empty());
    // Without elements there is nothing to be wrong about, but their size.
    refused::<u8>(&none, "elements of 8 bytes instead of 1");
    let build = Shared::<u8>::build(0, |items| assert!(items.is_empty()));
    assert_eq!(build.expect("no memory").len(), 0);
    let error = Shared::from_slice(&[(); 3]).expect_err("elements without size");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let error = SharedMut::<()>::zeroed(3).expect_err("elements without size");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let error = SharedMut::<u64>::zeroed(usize::MAX / 4).expect_err("too many bytes");
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    assert!(Shared::<u64>::build(1 << 60, |_| ()).is_err());
    let mut none = SharedMut::<u8>::zeroed(0).expect("no memory is needed");
    assert!(none.as_mut_slice().is_empty());
    assert!(none.freeze().expect("nothing to seal").is_empty());
}

#[test]
fn what_is_no_shared_array_is_refused() {
    let memory = |bytes: &[u8]| Arc::new(os::spill(bytes).expect("memory"));
    let sealed = |bytes: &[u8]| {
        let file = os::spill(bytes).expect("memory");
        os::seal(&file).expect("it can be sealed");
        Arc::new(file)
    };
    let array = Shared::from_slice(&[1_u64, 2, 3]).expect("memory");
    refused::<u32>(&array, "elements of 8 bytes instead of 4");
    let good = Forged((3_u64, 8_u64), Some(sealed(&[1; 24])));
    assert_eq!(
        sent::<_, Shared<u64>>(&good).expect("this is one")[2],
        u64::from_ne_bytes([1; 8])
    );
    refused::<u64>(&Forged((3_u64, 8_u64), None), "without its memory");
    let still = "could still be written";
    refused::<u64>(&Forged((3_u64, 8_u64), Some(memory(&[1; 24]))), still);
    let short = "24 bytes instead of 32";
    refused::<u64>(&Forged((4_u64, 8_u64), Some(sealed(&[1; 24]))), short);
    for len in [u64::MAX, u64::MAX / 8, 1 << 61, 1 << 59] {
        let forged = Forged((len, 8_u64), Some(sealed(&[1; 24])));
        sent::<_, Shared<u64>>(&forged).expect_err("more than can be");
    }
    // Lengths are sealed, contents not: a part of an array on its way to be changed.
    let half = os::spill(&[1; 24]).expect("memory");
    os::seal_len(&half).expect("it can be sealed");
    refused::<u64>(&Forged((3_u64, 8_u64), Some(Arc::new(half))), still);
    // No memory at all.
    let (socket, _peer) = os::stream_pair().expect("sockets");
    refused::<u64>(&Forged((3_u64, 8_u64), Some(Arc::new(socket))), still);
    // Files that have a name, that can be written, or both.
    let named = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(named.path(), [1; 24]).expect("room");
    for write in [false, true] {
        let file = File::options().read(true).write(write).open(named.path());
        let file = Arc::new(file.expect("it is there").into());
        refused::<u64>(&Forged((3_u64, 8_u64), Some(file)), still);
    }
    let writable = Backing::on_disk().expect("a temporary file");
    writable.write(&[1; 24]).expect("room");
    refused::<u64>(
        &Forged((3_u64, 8_u64), Some(Arc::clone(writable.file()))),
        still,
    );
    // Elsewhere than in a message.
    let text = postcard::to_stdvec(&array).expect_err("only in messages");
    assert!(matches!(text, postcard::Error::SerdeSerCustom));
    postcard::from_bytes::<Shared<u64>>(&[3, 8]).expect_err("only in messages");
}

/// Whether anybody can still write this file, and how.
fn assert_unchangeable(file: &Descriptor, sealed: bool) {
    let file = File::from(file.try_clone().expect("a descriptor"));
    let write = io::Write::write(&mut &file, b"x").expect_err("it must not be written");
    assert!(
        write.kind() == io::ErrorKind::PermissionDenied || write.raw_os_error() == Some(9),
        "{write}"
    );
    assert!(file.set_len(1).is_err() && file.set_len(1 << 20).is_err());
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    if sealed {
        // Not even through a door that would open for writing.
        let again = File::options()
            .write(true)
            .open(format!("/proc/self/fd/{fd}"));
        if let Ok(again) = again {
            assert!(io::Write::write(&mut &again, b"x").is_err());
            assert!(again.set_len(1).is_err());
        }
    }
    let backing = Backing::received(file.into()).expect("a file");
    assert!(backing.map_mut(0, 8).is_err(), "not even by the kernel");
    assert!(backing.map(8).is_ok());
}

fn backing_of(array: &Shared<u64>) -> Descriptor {
    let (_, mut descriptors) = alone::encode(array, Vec::new()).expect("it can be sent");
    let file = descriptors.pop().expect("its memory");
    file.try_clone().expect("a descriptor")
}

#[test]
fn nobody_can_change_what_is_shared() {
    assert_unchangeable(
        &backing_of(&Shared::from_slice(&[1, 2, 3]).expect("memory")),
        true,
    );
    assert_unchangeable(
        &backing_of(&Shared::build(3, |_| ()).expect("memory")),
        true,
    );
    let frozen = SharedMut::from_slice(&[1, 2, 3]).expect("memory");
    assert_unchangeable(&backing_of(&frozen.freeze().expect("it is sealed")), true);
    let _without = WithoutSealedMemory::begin();
    assert_unchangeable(&backing_of(&on_disk(&[1, 2, 3])), false);
}

/// The kernel's answer, not ours.
#[test]
fn what_is_still_mapped_to_be_written_is_not_sealed() {
    let array = SharedMut::from_slice(&[1_u64; 100]).expect("memory");
    let part: Part<u64> = sent(&array.lend(10..20)).expect("it is lent");
    let error = array.freeze().expect_err("a part is out");
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
    assert!(error.to_string().contains("still has a part"), "{error}");
    drop(part);
}

#[test]
fn parts_are_where_they_should_be() {
    let mut array = SharedMut::<u32>::zeroed(10_000).expect("memory");
    for range in [0..1, 1..5000, 5000..5000, 5000..9999, 9999..10_000] {
        let mut part: Part<u32> = sent(&array.lend(range.clone())).expect("it is lent");
        assert_eq!(part.items().len(), range.len());
        for (x, i) in part.items().iter_mut().zip(range) {
            *x = i as u32 + 1;
        }
    }
    assert!(array.iter().zip(1..).all(|(x, i)| *x == i));
    array.view_mut()[0] = 0;
    array.view_mut_as((100, 100)).expect("it fits")[[0, 1]] = 0;
    assert_eq!(array.as_slice()[..3], [0, 0, 3]);
    let frozen = array.freeze().expect("nothing is out");
    assert_eq!(frozen[2..], (3..=10_000).collect::<Vec<u32>>());
    let none = SharedMut::<u32>::zeroed(0).expect("no memory");
    let mut part: Part<u32> = sent(&none.lend(0..0)).expect("it is lent");
    assert!(part.items().is_empty());
}

#[test]
fn what_is_no_part_is_refused() {
    fn part(forged: &impl serde::Serialize, why: &str) {
        match sent::<_, Part<u64>>(forged) {
            Err(text) => assert!(text.contains(why), "{text} instead of {why}"),
            Ok(_) => panic!("a part instead of {why}"),
        }
    }
    type Words = (u64, u64, u64, bool);
    let array = SharedMut::<u64>::zeroed(10).expect("memory");
    let file = || {
        let (_, mut files) = alone::encode(&array.lend(0..10), Vec::new()).expect("it is lent");
        files.pop()
    };
    let words = |words: Words| Forged(words, file());
    assert!(sent::<_, Part<u64>>(&words((8, 9, 8, true))).is_ok());
    part(&words((4, 1, 8, true)), "another type");
    part(&words((0, 1, 4, true)), "another type");
    part(&words((8, 10, 8, true)), "80 bytes instead of 88");
    part(&words((u64::MAX - 7, 1, 8, true)), "instead of");
    part(&words((0, u64::MAX, 8, true)), "longer than");
    part(
        &Forged::<Words>((0, 1, 8, true), None),
        "without its memory",
    );
    let free = Arc::new(os::spill(&[0; 80]).expect("memory"));
    part(
        &Forged::<Words>((0, 10, 8, true), Some(free)),
        "could change",
    );
    // A sealed array is no part, whatever is said.
    let sealed = Shared::from_slice(&[1_u64; 10]).expect("memory");
    let sealed = Arc::new(backing_of(&sealed));
    assert!(sent::<_, Part<u64>>(&Forged::<Words>((0, 10, 8, true), Some(sealed))).is_err());
    let _without = WithoutSealedMemory::begin();
    let disk = Arc::new(backing_of(&on_disk(&[1; 10])));
    assert!(sent::<_, Part<u64>>(&Forged::<Words>((0, 10, 8, true), Some(disk))).is_err());
    // A part is no sealed array.
    let lent: Lent<'_, u64> = array.lend(0..10);
    assert!(sent::<_, Shared<u64>>(&lent).is_err());
    refused::<u64>(&Forged((10_u64, 8_u64), file()), "could still be written");
}

/// A full disk is an error, and no signal later on.
#[test]
fn a_file_on_disk_has_its_room() {
    use std::os::unix::fs::MetadataExt;
    let backing = Backing::on_disk().expect("a temporary file");
    let backing = backing.with_len(1 << 20).expect("room");
    let file = File::from(backing.file().try_clone().expect("a descriptor"));
    let metadata = file.metadata().expect("it is a file");
    assert_eq!(metadata.len(), 1 << 20);
    assert!(512 * metadata.blocks() >= 1 << 20, "{}", metadata.blocks());
    let backing = Backing::on_disk().expect("a temporary file");
    assert!(backing.with_len(1 << 60).is_err());
}

#[test]
fn a_panic_while_building_goes_through() {
    let caught = std::panic::catch_unwind(|| {
        Shared::<u64>::build(10, |_| std::panic::panic_any("meant: while building"))
    });
    caught.expect_err("it panics");
}
