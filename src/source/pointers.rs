//! Pointers to sources: what is borrowed is what they point to, so they are sources as that is.
//!
//! No worker ever sees the pointer itself, whose count would not stand that in the case of `Rc`.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::vector::SharedVec;
use super::{Source, Values, sealed::Sealed};

macro_rules! shared_pointers {
    ($($pointer:ty, [$($generics:tt)*], $target:ty;)*) => {$(
        impl<$($generics)*> Sealed for &$pointer {}

        impl<'s, $($generics)*> Source for &'s $pointer
        where
            &'s $target: Source,
        {
            type Item = <&'s $target as Source>::Item;
            type Shared = <&'s $target as Source>::Shared;

            fn into_shared(self) -> Self::Shared {
                let target: &'s $target = self;
                target.into_shared()
            }
        }

        impl<'s, $($generics)*> Values for &'s $pointer
        where
            &'s $target: Values,
        {
            type Value = <&'s $target as Values>::Value;

            #[inline]
            fn value(item: Self::Item) -> Self::Value {
                <&'s $target as Values>::value(item)
            }
        }
    )*};
}

shared_pointers! {
    Arc<A>, [A: ?Sized], A;
    Rc<A>, [A: ?Sized], A;
    Box<A>, [A: ?Sized], A;
    Cow<'_, B>, [B: ?Sized + ToOwned], B;
    &A, [A: ?Sized], A;
    &mut A, [A: ?Sized], A;
}

macro_rules! unique_pointers {
    ($($pointer:ty;)*) => {$(
        impl<A: ?Sized> Sealed for &mut $pointer {}

        impl<'s, A: ?Sized> Source for &'s mut $pointer
        where
            &'s mut A: Source,
        {
            type Item = <&'s mut A as Source>::Item;
            type Shared = <&'s mut A as Source>::Shared;

            fn into_shared(self) -> Self::Shared {
                let target: &'s mut A = self;
                target.into_shared()
            }
        }
    )*};
}

unique_pointers! {
    Box<A>;
    &mut A;
}

impl<T> Sealed for Box<[T]> {}

impl<T: Send> Source for Box<[T]> {
    type Item = T;
    type Shared = SharedVec<T>;

    fn into_shared(self) -> SharedVec<T> {
        self.into_vec().into_shared()
    }
}

impl<T: Send> Values for Box<[T]> {
    type Value = T;

    #[inline]
    fn value(item: T) -> T {
        item
    }
}
