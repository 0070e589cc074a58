//! Text from outside in messages: whatever its length and whatever is in it, a message stays one
//! short line.
//!
//! Each function gives something to print. What fits is printed as it is; of what does not, a part
//! with an ellipsis, and how long the whole is.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::path::Path;

/// The most characters of a value, a column's name, a header.
const MOST_OF_A_TEXT: usize = 60;

/// The most characters of a path, or of what a set of data is called, which often is one.
const MOST_OF_A_NAME: usize = 200;

/// The most elements of a list.
const MOST_OF_A_LIST: usize = 12;

/// A text in quotes, escaped as `{:?}` does: `"abc"`, or `50000000 bytes "aaaa..."`.
pub(crate) fn quoted(text: &str) -> impl Display + '_ {
    Quoted(text)
}

/// A name without quotes: `points.csv`, or `50000000 bytes ...aaaa.csv`, as the end of a path says
/// most. What would not be visible, such as a line break, is escaped.
pub(crate) fn name(name: &str) -> impl Display + '_ {
    Name(Cow::Borrowed(name))
}

/// A path as a [`name`]; what is not text in it becomes `U+FFFD`, as in [`Path::display`].
pub(crate) fn path(path: &Path) -> impl Display + '_ {
    Name(path.to_string_lossy())
}

/// A list: all of a few elements, the first ones of many.
pub(crate) fn few<T: Display>(
    all: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
) -> String {
    let all = all.into_iter();
    let more = all.len().saturating_sub(MOST_OF_A_LIST);
    let first: Vec<String> = all
        .take(MOST_OF_A_LIST)
        .map(|one| one.to_string())
        .collect();
    let first = first.join(", ");
    match more {
        0 => format!("[{first}]"),
        _ => format!("[{first}] and {more} more"),
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((end, _)) = self.0.char_indices().nth(MOST_OF_A_TEXT) else {
            return write!(f, "{:?}", self.0);
        };
        let mut shown = format!("{:?}", &self.0[..end]);
        shown.pop();
        write!(f, "{} bytes {shown}...\"", self.0.len())
    }
}

struct Name<'a>(Cow<'a, str>);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.char_indices().rev();
        let shown = match (last.nth(MOST_OF_A_NAME - 1), last.next()) {
            (Some((start, _)), Some(_)) => {
                write!(f, "{} bytes ...", self.0.len())?;
                &self.0[start..]
            }
            _ => &self.0,
        };
        // Piece by piece, as `escape_debug` would also escape what is visible: quotes and
        // backslashes.
        for piece in shown.split_inclusive(['\\', '"', '\'']) {
            let visible = piece.strip_suffix(['\\', '"', '\'']).unwrap_or(piece);
            write!(f, "{}{}", visible.escape_debug(), &piece[visible.len()..])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
