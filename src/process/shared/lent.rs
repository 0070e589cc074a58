//! `SharedMut`: an array whose parts are lent to workers, to be changed in place.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

use memmap2::MmapMut;
use ndarray::{ArrayView1, ArrayViewMut, ArrayViewMut1, Dimension, ShapeError};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::backing::{Backing, unfit};
use super::{Pod, Shared};
use crate::process::wire::passing;

/// An array in memory that workers change in place: [`ProcessPool::par_update_chunked`](crate::process::ProcessPool::par_update_chunked)
/// lends each of them a part that no other one has.
///
/// It derefs to a mutable slice, has [ndarray views](Self::view_mut), and becomes a [`Shared`] by [`freeze`](Self::freeze).
///
/// # Examples
///
/// ```
/// use scipar::process::{self, ProcessPool, SharedMut, task};
///
/// task! {
///     fn fill(part: &mut [f64], start: usize) {
///         for (i, x) in part.iter_mut().enumerate() { *x = ((start + i) as f64).sqrt(); }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     let mut roots = SharedMut::zeroed(1000)?;
///     ProcessPool::new(2)?.par_update_chunked(&mut roots, 100, fill, |range| range.start)?;
///     assert_eq!(roots[81], 9.0);
///     Ok(())
/// }
/// ```
pub struct SharedMut<T> {
    /// `None` for an array without elements.
    memory: Option<(Backing, MmapMut)>,
    len: usize,
    items: PhantomData<T>,
}

impl<T: Pod> SharedMut<T> {
    /// `len` elements, all zero.
    ///
    /// # Errors
    ///
    /// Where the system has no memory, or no descriptor, for it.
    pub fn zeroed(len: usize) -> io::Result<Self> {
        let bytes = len
            .checked_mul(size_of::<T>())
            .filter(|bytes| isize::try_from(*bytes).is_ok());
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        if len > 0 {
            super::backing::has_size::<T>()?;
        }
        let memory = match bytes {
            0 => None,
            bytes => Some(map(Backing::new(bytes)?, bytes)?),
        };
        Ok(Self {
            memory,
            len,
            items: PhantomData,
        })
    }

    /// A copy of a slice.
    ///
    /// # Errors
    ///
    /// Where the system has no memory, or no descriptor, for it.
    pub fn from_slice(items: &[T]) -> io::Result<Self> {
        let mut array = Self::zeroed(items.len())?;
        array.copy_from_slice(items);
        Ok(array)
    }

    /// Gives up writing: from now on no process can change it (see [`Shared`]), and it can be sent.
    ///
    /// # Errors
    ///
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) where a worker still has a part that it was
    /// lent, and could write it; [`PermissionDenied`](io::ErrorKind::PermissionDenied) where a
    /// worker has seen to it that the array can no longer be sealed. Neither is done by workers of
    /// this crate. Also where the system refuses.
    pub fn freeze(self) -> io::Result<Shared<T>> {
        let backing = self.memory.map(|(backing, map)| {
            drop(map); // the kernel seals nothing that can still be written
            backing
        });
        Shared::of_sealed(backing, self.len)
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match &self.memory {
            Some((_, map)) => &bytemuck::cast_slice(map)[..self.len],
            None => &[],
        }
    }

    /// The elements, to be changed.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match &mut self.memory {
            Some((_, map)) => &mut bytemuck::cast_slice_mut(map)[..self.len],
            None => &mut [],
        }
    }

    /// The elements as a one-dimensional view.
    #[must_use]
    pub fn view(&self) -> ArrayView1<'_, T> {
        ArrayView1::from(self.as_slice())
    }

    /// The elements as a one-dimensional view, to be changed.
    #[must_use]
    pub fn view_mut(&mut self) -> ArrayViewMut1<'_, T> {
        ArrayViewMut1::from(self.as_mut_slice())
    }

    /// The elements as a view of a shape, row-major, to be changed.
    ///
    /// # Errors
    ///
    /// Where the shape has another number of elements.
    pub fn view_mut_as<D: Dimension>(
        &mut self,
        shape: impl ndarray::ShapeArg<Dim = D>,
    ) -> Result<ArrayViewMut<'_, T, D>, ShapeError> {
        self.view_mut().into_shape_with_order(shape)
    }

    /// A part, to be sent to the worker that is to change it. The caller has each element lent once, and keeps `self` from being looked at
    /// until the worker has answered or is gone.
    pub(in crate::process) fn lend(&self, range: Range<usize>) -> Lent<'_, T> {
        Lent {
            backing: self.memory.as_ref().map(|(backing, _)| backing),
            range,
            items: PhantomData,
        }
    }
}

fn map(backing: Backing, bytes: usize) -> io::Result<(Backing, MmapMut)> {
    backing.seal_len()?;
    let map = backing.map_mut(0, bytes)?;
    Ok((backing, map))
}

impl<T: Pod> Deref for SharedMut<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod> DerefMut for SharedMut<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T> fmt::Debug for SharedMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMut")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A part on its way out.
pub(in crate::process) struct Lent<'a, T> {
    backing: Option<&'a Backing>,
    range: Range<usize>,
    items: PhantomData<T>,
}

impl<T: Pod> Serialize for Lent<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(backing) = self.backing
            && !passing::leave(backing.file())
        {
            return Err(S::Error::custom(passing::ONLY_IN_MESSAGES));
        }
        let bytes = (self.range.start * size_of::<T>()) as u64;
        (
            bytes,
            self.range.len() as u64,
            size_of::<T>() as u64,
            self.backing.is_some(),
        )
            .serialize(serializer)
    }
}

/// A part that a worker has been lent. It is unmapped when dropped.
pub(in crate::process) struct Part<T> {
    map: Option<MmapMut>,
    items: PhantomData<T>,
}

impl<T: Pod> Part<T> {
    pub(in crate::process) fn items(&mut self) -> &mut [T] {
        match &mut self.map {
            Some(map) => bytemuck::cast_slice_mut(map),
            None => &mut [],
        }
    }
}

impl<'de, T: Pod> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, len, size, has_memory) = <(u64, u64, u64, bool)>::deserialize(deserializer)?;
        receive(start, len, size, has_memory)
            .map_err(|error| D::Error::custom(passing::refuse(error.to_string())))
    }
}

fn receive<T: Pod>(start: u64, len: u64, size: u64, has_memory: bool) -> io::Result<Part<T>> {
    if size != size_of::<T>() as u64 || !start.is_multiple_of(size.max(1)) {
        return Err(unfit("a part of an array of another type"));
    }
    let file = match has_memory {
        true => {
            Some(passing::take().ok_or_else(|| unfit("a part of an array without its memory"))?)
        }
        false => None,
    };
    let bytes = usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_mul(size_of::<T>()));
    let bytes = bytes.ok_or_else(|| unfit("a part longer than can be addressed"))?;
    let map = match file {
        Some(file) if bytes > 0 => Some(Backing::received(file)?.map_mut(start, bytes)?),
        _ => None,
    };
    Ok(Part {
        map,
        items: PhantomData,
    })
}
