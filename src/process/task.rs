//! Tasks: functions that another process finds by their names.

use std::any::{Any, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Call, CallError};

/// A function that worker processes know by its name: made by [`task!`](crate::process::task), never by hand.
///
/// It takes an `A` (the tuple of its arguments where it has more than one, `()` where it has none) and gives an `R`. It can be
/// called like a function, as it derefs to the function pointer `F`; where a closure is expected, as by the maps on threads,
/// write `*task`. Code that is to run on threads or on processes is written against [`Executor`](super::Executor).
///
/// # Examples
///
/// ```
/// use scipar::process::{self, ProcessPool, task};
///
/// task! {
///     /// Squares.
///     pub fn square(x: f64) -> f64 { x * x }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(); // the first line of `main`
///     let xs = [1.0, 2.0, 3.0];
///
///     let pool = ProcessPool::new(2)?;
///     let on_processes = pool.par_map_chunked(&xs, 1, square)?;
///
///     let on_threads = scipar::par_map_chunked(xs.to_vec(), 1, *square);
///     assert_eq!(on_processes, on_threads);
///     assert_eq!(square(4.0), 16.0);
///     Ok(())
/// }
/// ```
///
/// A closure is refused when the program is compiled:
///
/// ```compile_fail,E0308
/// # use scipar::process::ProcessPool;
/// let pool = ProcessPool::new(2).unwrap();
/// let y = pool.par_map_chunked(&[1.0_f64, 2.0], 1, |x: f64| x * x);
/// ```
pub struct Task<A, R, F = fn(A) -> R> {
    name: &'static str,
    function: F,
    call: fn(A) -> R,
}

/// A task with a context: data that every call needs and that is sent once per worker, not once per item.
///
/// Made by [`task!`](crate::process::task) from a function whose first argument is a reference.
pub struct ContextTask<C, A, R> {
    name: &'static str,
    function: fn(&C, A) -> R,
}

/// A task that works on a part of a [`SharedMut`](super::SharedMut) in place.
///
/// Made by [`task!`](crate::process::task) from a function whose first argument is a mutable slice.
pub struct PartTask<T, A, R> {
    name: &'static str,
    function: fn(&mut [T], A) -> R,
}

impl<A, R, F: Copy> Clone for Task<A, R, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R, F: Copy> Copy for Task<A, R, F> {}

impl<C, A, R> Clone for ContextTask<C, A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, A, R> Copy for ContextTask<C, A, R> {}

impl<T, A, R> Clone for PartTask<T, A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A, R> Copy for PartTask<T, A, R> {}

impl<A, R, F> Task<A, R, F> {
    #[doc(hidden)]
    #[must_use]
    pub const fn define(name: &'static str, function: F, call: fn(A) -> R) -> Self {
        Self {
            name,
            function,
            call,
        }
    }

    /// Its name: crate, modules and function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Calls it in this process, with its arguments as one value.
    pub fn call(&self, arguments: A) -> R {
        (self.call)(arguments)
    }
}

impl<C, A, R> ContextTask<C, A, R> {
    #[doc(hidden)]
    #[must_use]
    pub const fn define(name: &'static str, function: fn(&C, A) -> R) -> Self {
        Self { name, function }
    }

    /// Its name: crate, modules and function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<T, A, R> PartTask<T, A, R> {
    #[doc(hidden)]
    #[must_use]
    pub const fn define(name: &'static str, function: fn(&mut [T], A) -> R) -> Self {
        Self { name, function }
    }

    /// Its name: crate, modules and function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<A, R, F> Deref for Task<A, R, F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.function
    }
}

impl<C, A, R> Deref for ContextTask<C, A, R> {
    type Target = fn(&C, A) -> R;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl<T, A, R> Deref for PartTask<T, A, R> {
    type Target = fn(&mut [T], A) -> R;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl<A, R, F> fmt::Debug for Task<A, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.name).finish()
    }
}

impl<C, A, R> fmt::Debug for ContextTask<C, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContextTask").field(&self.name).finish()
    }
}

impl<T, A, R> fmt::Debug for PartTask<T, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartTask").field(&self.name).finish()
    }
}

/// What a worker process knows of a task; [`task!`](crate::process::task) makes and registers them,
/// [`init_with`](super::init_with) takes them where registering when linking is not to be had.
pub struct Registration {
    name: &'static str,
    signature: &'static str,
    /// Where the function is, to tell one registered twice from two of one name.
    address: usize,
    pub(super) run: Run,
    /// A plain task itself, for those who know its type.
    pub(super) task: Option<Box<dyn Any + Send + Sync>>,
}

/// Does what a message asks for.
pub(super) type Run = Box<dyn Fn(&mut Call<'_>) -> Result<(), CallError> + Send + Sync>;

impl<A, R, F> Task<A, R, F>
where
    A: DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// What a worker needs to know of it.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let plain = self.erased();
        Registration {
            name: self.name,
            signature: self.signature(),
            address: self.call as usize,
            run: Box::new(move |call| call.each(plain.call)),
            task: Some(Box::new(plain)),
        }
    }
}

impl<A, R, F> Task<A, R, F> {
    /// The task without the type of its function.
    pub(super) fn erased(&self) -> Task<A, R> {
        Task::define(self.name, self.call, self.call)
    }

    /// Its types, by which two builds of a program tell that they mean the same task.
    pub(super) fn signature(&self) -> &'static str {
        type_name::<fn(A) -> R>()
    }
}

impl<C, A, R> ContextTask<C, A, R>
where
    C: DeserializeOwned + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    /// What a worker needs to know of it.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let function = self.function;
        Registration {
            name: self.name,
            signature: self.signature(),
            address: self.function as usize,
            run: Box::new(move |call| call.each_with(function)),
            task: None,
        }
    }
}

impl<C, A, R> ContextTask<C, A, R> {
    pub(super) fn signature(&self) -> &'static str {
        type_name::<fn(C, A) -> R>()
    }
}

impl<T, A, R> PartTask<T, A, R>
where
    T: super::Pod,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    /// What a worker needs to know of it.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let function = self.function;
        Registration {
            name: self.name,
            signature: self.signature(),
            address: self.function as usize,
            run: Box::new(move |call| call.each_part(function)),
            task: None,
        }
    }
}

impl<T, A, R> PartTask<T, A, R> {
    pub(super) fn signature(&self) -> &'static str {
        type_name::<fn(&mut [T], A) -> R>()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name)
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}

inventory::collect!(Registered);

/// A registration made when the program was linked.
#[doc(hidden)]
#[derive(Debug)]
pub struct Registered(pub fn() -> Registration);

/// The tasks that this process knows.
#[derive(Debug)]
struct Registry(HashMap<&'static str, Entry>);

#[derive(Debug)]
enum Entry {
    One(Registration),
    /// Two functions have the name, with these signatures.
    Many(&'static str, &'static str),
}

static REGISTRY: OnceLock<Registry> = OnceLock::new();

impl Registry {
    fn collect(more: Vec<Registration>) -> Self {
        let linked = inventory::iter::<Registered>.into_iter();
        let mut map = HashMap::new();
        for new in linked.map(|registered| registered.0()).chain(more) {
            let name = new.name;
            let entry = match map.remove(name) {
                None => Entry::One(new),
                // The same one, linked and listed.
                Some(Entry::One(old))
                    if (old.address, old.signature) == (new.address, new.signature) =>
                {
                    Entry::One(old)
                }
                Some(Entry::One(old)) => Entry::Many(old.signature, new.signature),
                Some(many) => many,
            };
            map.insert(name, entry);
        }
        Self(map)
    }
}

/// Makes known all tasks that were registered when the program was linked, and some more.
pub(super) fn install(more: Vec<Registration>) {
    REGISTRY.get_or_init(|| Registry::collect(more));
}

/// The task of a name and a signature, or why there is none.
pub(super) fn find(name: &str, signature: &str) -> Result<&'static Registration, String> {
    let registry = REGISTRY.get_or_init(|| Registry::collect(Vec::new()));
    match registry.0.get(name) {
        None => Err(format!(
            "no task `{name}` is linked into it, of {} it knows; where tasks are not registered when linking, name them to \
             `init_with`",
            registry.0.len()
        )),
        Some(Entry::Many(a, b)) => Err(format!(
            "two tasks are called `{name}`: {a} and {b}; give one of them another name"
        )),
        Some(Entry::One(found)) if found.signature != signature => Err(format!(
            "`{name}` is {} in it and {signature} here: they are different builds",
            found.signature
        )),
        Some(Entry::One(found)) => Ok(found),
    }
}

/// Defines tasks: functions that worker processes find by their names.
///
/// | what is written | what is defined |
/// |---|---|
/// | `fn f(a: A) -> R` | `f: Task<A, R>`; arguments of any number become a tuple |
/// | `fn f(context: &C, a: A) -> R` | `f: ContextTask<C, A, R>`: the context is sent once per worker; further arguments become a tuple, also for who calls it |
/// | `fn f(part: &mut [T], a: A) -> R` | `f: PartTask<T, A, R>`: works on a part of a [`SharedMut`](crate::process::SharedMut) |
///
/// Arguments, contexts and results implement serde's `Serialize` and `DeserializeOwned`; the elements of parts are
/// [`Pod`](crate::process::Pod). Functions are not generic and do not borrow what they give back. Their names are the crate's, the modules' and
/// the function's: two tasks in function bodies of one module have to differ in name. A task is a constant, so where it is in scope no
/// variable can have its name.
///
/// # Examples
///
/// ```
/// use scipar::process::task;
///
/// task! {
///     /// The distance from the origin.
///     pub fn distance(x: f64, y: f64) -> f64 {
///         x.hypot(y)
///     }
///
///     /// Looks a rate up in a table that every worker has once.
///     fn rate(table: &Vec<f64>, age: usize) -> f64 {
///         table[age]
///     }
/// }
/// assert_eq!(distance(3.0, 4.0), 5.0);
/// assert_eq!(rate(&vec![0.1, 0.2], 1), 0.2);
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __scipar_task {
    () => {};
    ($(#[$meta:meta])* $vis:vis fn $name:ident($part:ident: &mut [$T:ty] $(, $arg:ident: $A:ty)* $(,)?) $(-> $R:ty)? $body:block $($rest:tt)*) => {
        $(#[$meta])*
        #[allow(non_upper_case_globals)]
        $vis const $name: $crate::process::PartTask<$T, $crate::__scipar_task!(@tuple $($A)*), $crate::__scipar_task!(@result $($R)?)> = {
            #[allow(clippy::needless_pass_by_value, clippy::ptr_arg, clippy::trivially_copy_pass_by_ref)]
            fn $name($part: &mut [$T], $crate::__scipar_task!(@pattern $($arg)*): $crate::__scipar_task!(@tuple $($A)*)) $(-> $R)? $body
            $crate::process::PartTask::define($crate::__scipar_task!(@name $name), $name)
        };
        $crate::__scipar_task!(@register $name);
        $crate::__scipar_task!($($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident($context:ident: & $C:ty $(, $arg:ident: $A:ty)* $(,)?) $(-> $R:ty)? $body:block $($rest:tt)*) => {
        $(#[$meta])*
        #[allow(non_upper_case_globals)]
        $vis const $name: $crate::process::ContextTask<$C, $crate::__scipar_task!(@tuple $($A)*), $crate::__scipar_task!(@result $($R)?)> = {
            #[allow(clippy::needless_pass_by_value, clippy::ptr_arg, clippy::trivially_copy_pass_by_ref)]
            fn $name($context: &$C, $crate::__scipar_task!(@pattern $($arg)*): $crate::__scipar_task!(@tuple $($A)*)) $(-> $R)? $body
            $crate::process::ContextTask::define($crate::__scipar_task!(@name $name), $name)
        };
        $crate::__scipar_task!(@register $name);
        $crate::__scipar_task!($($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $A:ty),* $(,)?) $(-> $R:ty)? $body:block $($rest:tt)*) => {
        $(#[$meta])*
        #[allow(non_upper_case_globals)]
        $vis const $name: $crate::process::Task<$crate::__scipar_task!(@tuple $($A)*), $crate::__scipar_task!(@result $($R)?), fn($($A),*) $(-> $R)?> = {
            #[allow(clippy::needless_pass_by_value, clippy::ptr_arg, clippy::trivially_copy_pass_by_ref)]
            fn $name($($arg: $A),*) $(-> $R)? $body
            $crate::process::Task::define($crate::__scipar_task!(@name $name), $name, |$crate::__scipar_task!(@pattern $($arg)*)| $name($($arg),*))
        };
        $crate::__scipar_task!(@register $name);
        $crate::__scipar_task!($($rest)*);
    };
    (@tuple) => { () };
    (@tuple $A:ty) => { $A };
    (@tuple $($A:ty)+) => { ($($A,)+) };
    (@pattern) => { () };
    (@pattern $arg:ident) => { $arg };
    (@pattern $($arg:ident)+) => { ($($arg,)+) };
    (@result) => { () };
    (@result $R:ty) => { $R };
    (@name $name:ident) => { ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name)) };
    (@register $name:ident) => {
        const _: () = {
            $crate::process::__private::inventory::submit! {
                $crate::process::__private::Registered(|| $name.registration())
            }
        };
    };
}
