//! Arrays that several processes see at once, without a copy.

mod backing;
mod fixed;
mod lent;

pub use fixed::Shared;
pub(super) use lent::Part;
pub use lent::SharedMut;

/// Elements of shared arrays: plain numbers, and structs of them, for which any bytes are a value. What
/// `bytemuck::Pod` is implemented for has it.
pub trait Pod: bytemuck::Pod + Send + Sync {}

impl<T: bytemuck::Pod + Send + Sync> Pod for T {}

#[cfg(test)]
mod tests;
