//! `Shared`: an array that is not changed any more.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::Mmap;
use ndarray::{ArrayView, ArrayView1, Dimension, ShapeError};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Pod;
use super::backing::Backing;
use crate::process::wire::passing;

/// An array in memory that processes share: sending it to another one hands over a descriptor and copies nothing, whatever its size.
///
/// It derefs to a slice, has [ndarray views](Self::view), and is sent inside of arguments, results
/// and messages, also nested in other types. A clone is the same memory.
///
/// # Who can change it
///
/// No process, on Linux: the kernel has sealed its contents and its length, and each process that
/// is sent an array asks the kernel before it looks at it, so that it need not believe the sender.
/// Memory that is not sealed is refused, with an error of kind
/// [`Decode`](crate::process::ProcessErrorKind::Decode).
///
/// Where a process cannot make such memory, because the system has none (macOS) or a sandbox
/// forbids `memfd_create`, the array is a temporary file without a name, handed on to be read only.
/// That no process can write it then rests on the sender's being of this crate. Such arrays are
/// taken by processes that cannot make sealed memory either, and refused by those that can: let the
/// program and its workers have the same sandbox.
///
/// # Examples
///
/// ```
/// use scipar::process::{self, ProcessPool, Shared, task};
///
/// task! {
///     fn part_sum(data: Shared<f64>, start: usize, end: usize) -> f64 { data[start..end].iter().sum() }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init();
///     let data = Shared::from_slice(&[1.0; 1000])?;
///     let parts: Vec<_> = (0..10).map(|i| (data.clone(), 100 * i, 100 * (i + 1))).collect();
///     let sums = ProcessPool::new(2)?.par_map_chunked(&parts, 1, part_sum)?;
///     assert_eq!(sums, [100.0; 10]);
///     Ok(())
/// }
/// ```
///
/// # Cost
///
/// Making one costs a copy of the data ([`build`](Self::build) none) and the kernel's zeroing of its pages. Its memory counts as
/// shared memory of the process that made it, and is freed when the last process has let go of it. Each array that is alive takes a
/// file descriptor in each process.
pub struct Shared<T> {
    inner: Arc<Inner>,
    len: usize,
    items: PhantomData<T>,
}

struct Inner {
    /// `None` for an array without elements.
    memory: Option<(Backing, Mmap)>,
}

impl<T: Pod> Shared<T> {
    /// A copy of a slice.
    ///
    /// # Errors
    ///
    /// Where the system has no memory, or no descriptor, for it.
    pub fn from_slice(items: &[T]) -> io::Result<Self> {
        if items.is_empty() {
            return Self::of_sealed(None, 0);
        }
        super::backing::has_size::<T>()?;
        let backing = Backing::new(0)?;
        backing.write(bytemuck::cast_slice(items))?;
        Self::of_sealed(Some(backing), items.len())
    }

    /// Made in place: `fill` gets `len` elements, all zero.
    ///
    /// # Errors
    ///
    /// Where the system has no memory, or no descriptor, for it.
    pub fn build(len: usize, fill: impl FnOnce(&mut [T])) -> io::Result<Self> {
        let mut array = super::SharedMut::zeroed(len)?;
        fill(&mut array);
        array.freeze()
    }

    /// A copy of an array of any shape, in its logical (row-major) order. [`view_as`](Self::view_as) gives the shape back.
    ///
    /// # Errors
    ///
    /// Where the system has no memory, or no descriptor, for it.
    pub fn from_array<D: Dimension>(array: ArrayView<'_, T, D>) -> io::Result<Self> {
        match array.as_slice() {
            Some(items) => Self::from_slice(items),
            None => Self::build(array.len(), |items| {
                for (place, item) in items.iter_mut().zip(&array) {
                    *place = *item;
                }
            }),
        }
    }

    /// Gives up writing, and maps to be read.
    pub(super) fn of_sealed(backing: Option<Backing>, len: usize) -> io::Result<Self> {
        let memory = match backing {
            Some(backing) => {
                let backing = backing.seal()?;
                let map = backing.map(len * size_of::<T>())?;
                Some((backing, map))
            }
            None => None,
        };
        Ok(Self {
            inner: Arc::new(Inner { memory }),
            len,
            items: PhantomData,
        })
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match &self.inner.memory {
            Some((_, map)) => &bytemuck::cast_slice(map)[..self.len],
            None => &[],
        }
    }

    /// The elements as a one-dimensional view.
    #[must_use]
    pub fn view(&self) -> ArrayView1<'_, T> {
        ArrayView1::from(self.as_slice())
    }

    /// The elements as a view of a shape, row-major.
    ///
    /// # Errors
    ///
    /// Where the shape has another number of elements.
    pub fn view_as<D: Dimension>(
        &self,
        shape: impl ndarray::ShapeArg<Dim = D>,
    ) -> Result<ArrayView<'_, T, D>, ShapeError> {
        self.view().into_shape_with_order(shape)
    }
}

impl<T: Pod> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod> AsRef<[T]> for Shared<T> {
    fn as_ref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            len: self.len,
            items: PhantomData,
        }
    }
}

impl<T: Pod + PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<T: Pod> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some((backing, _)) = &self.inner.memory
            && !passing::leave(backing.file())
        {
            return Err(S::Error::custom(passing::ONLY_IN_MESSAGES));
        }
        (self.len as u64, size_of::<T>() as u64).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (len, size) = <(u64, u64)>::deserialize(deserializer)?;
        receive(len, size).map_err(|error| D::Error::custom(passing::refuse(error.to_string())))
    }
}

fn receive<T: Pod>(len: u64, size: u64) -> io::Result<Shared<T>> {
    let unfit = super::backing::unfit;
    if size != size_of::<T>() as u64 {
        return Err(unfit(&format!(
            "shared elements of {size} bytes instead of {}",
            size_of::<T>()
        )));
    }
    let len =
        usize::try_from(len).map_err(|_| unfit("more shared elements than can be addressed"))?;
    let bytes = len.checked_mul(size_of::<T>());
    let bytes = bytes.ok_or_else(|| unfit("more shared elements than can be addressed"))?;
    if bytes == 0 {
        return Shared::of_sealed(None, 0);
    }
    let file = passing::take().ok_or_else(|| unfit("a shared array without its memory"))?;
    let backing = Backing::received(file)?;
    let map = backing.map(bytes)?;
    Ok(Shared {
        inner: Arc::new(Inner {
            memory: Some((backing, map)),
        }),
        len,
        items: PhantomData,
    })
}
