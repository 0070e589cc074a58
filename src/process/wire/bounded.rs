//! Decoding that costs no more than what was sent: values that are too deep for the stack, or of
//! very many elements that take no bytes, are refused.
//!
//! Postcard decodes a value as deep as the bytes say, and a list as long as its first bytes say. So
//! this stands between it and the values' own code, and looks only where one value is inside of
//! another: numbers and text pass by it.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::passing;

/// Values inside of values: options, lists, tuples, maps, structs, enums, and the newtypes around
/// them.
pub(super) const LEVELS: u32 = 500;

/// Elements without bytes that a value may have.
pub(super) const WITHOUT_BYTES: u64 = 1 << 20;

/// Elements that a list may have beside those that are paid for, at a time; so many that it is
/// seldom asked, and few enough for a list at each level.
const AT_ONCE: u64 = 64;

/// How many elements a value may still have: one for each byte that has come, and some.
#[derive(Debug)]
pub(super) struct Meter(Cell<u64>);

impl Meter {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Cell::new(WITHOUT_BYTES + bytes as u64))
    }

    /// More bytes have come.
    pub(super) fn came(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes as u64));
    }

    /// Takes some for a list that says how many it still has.
    fn take<E: Error>(&self, left: Option<usize>) -> Result<u64, E> {
        let wanted = left.map_or(AT_ONCE, |left| left as u64).clamp(1, AT_ONCE);
        let there = self.0.get();
        if there == 0 {
            return Err(refused(format!(
                "more than {WITHOUT_BYTES} elements that take no bytes"
            )));
        }
        let taken = wanted.min(there);
        self.0.set(there - taken);
        Ok(taken)
    }
}

fn refused<E: Error>(why: String) -> E {
    E::custom(passing::refuse(why))
}

/// How deep a value is, and what it is metered by.
#[derive(Clone, Copy)]
pub(super) struct Bound<'m> {
    meter: &'m Meter,
    levels: u32,
}

impl<'m> Bound<'m> {
    pub(super) fn new(meter: &'m Meter) -> Self {
        let levels = LEVELS;
        Self { meter, levels }
    }

    pub(super) fn on<D>(self, inner: D) -> Bounded<'m, D> {
        Bounded { inner, bound: self }
    }

    /// One level further down.
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => Err(too_deep()),
        }
    }
}

#[cold]
fn too_deep<E: Error>() -> E {
    refused(format!(
        "values inside of values, more than {LEVELS} levels deep"
    ))
}

/// A deserializer, or what is inside of one, and its bound.
pub(super) struct Bounded<'m, T> {
    inner: T,
    bound: Bound<'m>,
}

/// A visitor of what is one level down.
struct Inside<'m, V> {
    visitor: V,
    bound: Bound<'m>,
    /// Elements that are known from its type.
    granted: u64,
}

/// None: the bytes say how many there are.
const BY_BYTES: u64 = 0;

/// As many as there are: the type says how many.
const BY_TYPE: u64 = u64::MAX;

/// A deserializer's methods that are passed on; `deeper` are those that lead one level down.
macro_rules! pass {
    ($($method:ident)*; deeper $($deeper:ident($($name:ident: $type:ty),*) $granted:ident)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
                self.inner.$method(visitor)
            }
        )*
        $(
            #[inline]
            fn $deeper<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
                let bound = self.bound.deeper()?;
                self.inner.$deeper($($name,)* Inside { visitor, bound, granted: $granted })
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    pass! {
        deserialize_any deserialize_ignored_any deserialize_identifier deserialize_unit
        deserialize_bool deserialize_char
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf;
        deeper
        deserialize_option() BY_TYPE
        deserialize_newtype_struct(name: &'static str) BY_TYPE
        deserialize_seq() BY_BYTES
        deserialize_tuple(len: usize) BY_TYPE
        deserialize_tuple_struct(name: &'static str, len: usize) BY_TYPE
        deserialize_map() BY_BYTES
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) BY_TYPE
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) BY_TYPE
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// What a visitor can be shown where a value is inside of another.
impl<'de, V: Visitor<'de>> Visitor<'de> for Inside<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(self.bound.on(some))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(self.bound.on(inside))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        let (bound, granted) = (self.bound, self.granted);
        self.visitor.visit_seq(List {
            inner: list,
            bound,
            granted,
        })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let (bound, granted) = (self.bound, self.granted);
        self.visitor.visit_map(List {
            inner: map,
            bound,
            granted,
        })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, one: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(self.bound.on(one))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inside: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(self.bound.on(inside))
    }
}

/// A list or a map.
struct List<'m, A> {
    inner: A,
    bound: Bound<'m>,
    /// Elements that it may have before it asks again.
    granted: u64,
}

impl<A> List<'_, A> {
    /// One element more, of those that there still are by the list's own word.
    #[inline]
    fn element<E: Error>(&mut self, left: impl FnOnce(&A) -> Option<usize>) -> Result<(), E> {
        if self.granted == 0 {
            self.granted = self.bound.meter.take(left(&self.inner))?;
        }
        self.granted -= 1;
        Ok(())
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for List<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.element(A::size_hint)?;
        self.inner.next_element_seed(self.bound.on(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for List<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.element(A::size_hint)?;
        self.inner.next_key_seed(self.bound.on(seed))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(self.bound.on(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'm, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'m, A> {
    type Error = A::Error;
    type Variant = Bounded<'m, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (which, variant) = self.inner.variant_seed(seed)?;
        Ok((which, self.bound.on(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(self.bound.on(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let bound = self.bound;
        let granted = BY_TYPE;
        self.inner.tuple_variant(
            len,
            Inside {
                visitor,
                bound,
                granted,
            },
        )
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let bound = self.bound;
        let granted = BY_TYPE;
        self.inner.struct_variant(
            fields,
            Inside {
                visitor,
                bound,
                granted,
            },
        )
    }
}
