//! What does not compile, each beside a twin that does: rules of [`Source`](super::Source) that the
//! compiler holds.
//!
//! The integer type of a range of literals is found as in a plain loop: it is `i32` where nothing else
//! says so. A method of one integer type has to be told which, as there.
//!
//! ```
//! let ys = scipar::par_map_chunked(0..50, 8, |x| if x == 50 { panic!() } else { x });
//! let lens = scipar::par_map_by_chunk(0..50, 8, |_, chunk| chunk.count());
//! let squares = scipar::par_map_chunked(0..50_i32, 8, |x| x.pow(2));
//! assert_eq!((ys[49], lens[6], squares[7]), (49, 2, 49));
//! ```
//!
//! ```compile_fail,E0689
//! let squares = scipar::par_map_chunked(0..50, 8, |x| x.pow(2));
//! ```
//!
//! Ranges of what is no integer have no items by index.
//!
//! ```
//! let letters = scipar::par_map_chunked(b'a'..=b'z', 8, char::from);
//! assert_eq!(letters[25], 'z');
//! ```
//!
//! ```compile_fail,E0277
//! let letters = scipar::par_map_chunked('a'..='z', 8, |letter| letter);
//! ```
//!
//! What is borrowed behind a pointer is shared, so it has to be `Sync`; the pointer has not.
//!
//! ```
//! let xs = std::rc::Rc::new(vec![1, 2]);
//! assert_eq!(scipar::par_map_chunked(&xs, 1, |x| x + 1), [2, 3]);
//! ```
//!
//! ```compile_fail,E0277
//! let xs = std::rc::Rc::new(vec![std::cell::Cell::new(1)]);
//! let ys = scipar::par_map_chunked(&xs, 1, |x| x.get() + 1);
//! ```
//!
//! The items of an `Arc` or an `Rc` may have other borrowers, so they are not lent mutably.
//!
//! ```
//! let mut xs: Box<[i32]> = Box::new([1, 2]);
//! scipar::par_for_each_chunked(&mut xs, 1, |x| *x += 1);
//! assert_eq!(*xs, [2, 3]);
//! ```
//!
//! ```compile_fail,E0277
//! let mut xs = std::sync::Arc::new(vec![1, 2]);
//! scipar::par_for_each_chunked(&mut xs, 1, |x| *x += 1);
//! ```
//!
//! A pointer is given by reference, as a vector is that is not to be given away.
//!
//! ```
//! let xs = std::sync::Arc::new(vec![1, 2]);
//! assert_eq!(scipar::par_sum_chunked(&xs, 1), 3);
//! ```
//!
//! ```compile_fail,E0277
//! let xs = std::sync::Arc::new(vec![1, 2]);
//! assert_eq!(scipar::par_sum_chunked(xs, 1), 3);
//! ```
