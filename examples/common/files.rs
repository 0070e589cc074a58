//! Files of the example programs: inputs plain or gzip, outputs whole or not at all.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

/// First two bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens a file for reading; one that starts like gzip is unpacked on the way, whatever its name.
///
/// Reading it fails after `most` bytes, unpacked ones where it is packed: a few kilobytes of gzip
/// can be gigabytes of text.
///
/// # Errors
///
/// A message that names the file, if it cannot be opened, is a directory, is called `.gz`
/// and does not start like gzip, or is longer than `most` bytes as it is.
pub(crate) fn open(path: &Path, most: u64) -> Result<Box<dyn Read + Send>, Box<dyn Error>> {
    let failed = |e: io::Error| format!("cannot read {}: {e}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let data = file.metadata().map_err(failed)?;
    if data.is_dir() {
        return Err(format!("{}: is a directory, expected a file", path.display()).into());
    }
    // A pipe may give its first bytes one by one.
    let mut start = Vec::new();
    (&mut file)
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let reader = BufReader::new(Cursor::new(start.clone()).chain(file));
    if start.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(Limited::new(MultiGzDecoder::new(reader), most)));
    }
    if is_gzip_name(path) && !start.is_empty() {
        let message = "is not a gzip file, expected one because of its name";
        return Err(format!("{}: {message}", path.display()).into());
    }
    if data.is_file() && data.len() > most {
        return Err(failed(too_long(most)).into());
    }
    Ok(Box::new(Limited::new(reader, most)))
}

fn too_long(most: u64) -> io::Error {
    let message = "expected no more: --max-input-size raises the limit";
    io::Error::other(format!("found more than {most} bytes, {message}"))
}

/// A reader that fails where there are too many bytes.
struct Limited<R> {
    reader: R,
    left: u64,
    most: u64,
}

impl<R> Limited<R> {
    fn new(reader: R, most: u64) -> Self {
        Self {
            reader,
            left: most,
            most,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Where no byte is left, one is looked for: there may be none.
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).max(1);
        let room = room.min(buffer.len());
        let found = self.reader.read(&mut buffer[..room])?;
        match self.left.checked_sub(found as u64) {
            Some(left) => {
                self.left = left;
                Ok(found)
            }
            None => Err(too_long(self.most)),
        }
    }
}

/// Reads a number of bytes: `1000000`, `500MB`, `16GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let end = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text[..text.len() - end.len()].parse::<u64>().ok();
    let (power, base) = match end.to_ascii_lowercase().as_str() {
        "" | "b" => (0, 1_000_u64),
        "kb" => (1, 1_000),
        "mb" => (2, 1_000),
        "gb" => (3, 1_000),
        "tb" => (4, 1_000),
        "kib" => (1, 1_024),
        "mib" => (2, 1_024),
        "gib" => (3, 1_024),
        "tib" => (4, 1_024),
        _ => (u32::MAX, 1_024),
    };
    let unit = base.checked_pow(power);
    let size = number.zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    size.filter(|size| *size > 0).ok_or_else(|| {
        "expected a number of bytes of at least 1, such as 1000000, 500MB or 16GiB".to_owned()
    })
}

fn is_gzip_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

/// A file to be written; made before the work that fills it, so that a bad path costs no work.
#[derive(Debug)]
pub(crate) struct Output {
    /// As the user gave it, for messages.
    shown: PathBuf,
    /// Symbolic links followed, so that their target is replaced and not the link.
    target: PathBuf,
}

impl Output {
    /// Checks that `path` can be written and is none of `taken`; creates and changes nothing.
    ///
    /// # Errors
    ///
    /// A message that names the path.
    pub(crate) fn new<'a>(
        path: &Path,
        taken: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, Box<dyn Error>> {
        let fail = |why: String| Err(format!("cannot write {}: {why}", path.display()).into());
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return fail("expected the name of a file".to_owned());
        };
        // `file_name` takes no notice of it.
        if path.to_string_lossy().ends_with(std::path::is_separator) {
            return fail("expected the name of a file".to_owned());
        }
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(_) if path.is_symlink() => {
                return fail("it is a symbolic link to a missing file".to_owned());
            }
            Err(_) => match fs::canonicalize(parent) {
                Ok(parent) => parent.join(name),
                Err(e) => {
                    return fail(format!(
                        "its directory {} is not writable: {e}",
                        parent.display()
                    ));
                }
            },
        };
        if let Ok(old) = fs::metadata(&target) {
            if !old.is_file() {
                return fail("it exists and is not a file".to_owned());
            }
            if old.permissions().readonly() {
                return fail("it exists and is read-only".to_owned());
            }
        }
        for other in taken {
            if fs::canonicalize(other).is_ok_and(|other| other == target) {
                return fail(format!("it is the input {}", other.display()));
            }
        }
        // An unnamed file in the same directory: the cheapest proof that one can be made there.
        if let Err(e) = tempfile::tempfile_in(directory(&target)) {
            return fail(format!(
                "its directory {} is not writable: {e}",
                parent.display()
            ));
        }
        Ok(Self {
            shown: path.to_owned(),
            target,
        })
    }

    /// Whether both would end up under one name.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.target == other.target
    }

    /// The path as the user gave it.
    pub(crate) fn path(&self) -> &Path {
        &self.shown
    }

    /// Writes the content beside the target, under a temporary name that goes away with the
    /// returned value unless [`commit`] is reached. A name ending in `.gz` is compressed.
    ///
    /// # Errors
    ///
    /// A message that names the path.
    pub(crate) fn stage(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Staged, Box<dyn Error>> {
        let staged = || -> io::Result<NamedTempFile> {
            let mut builder = tempfile::Builder::new();
            builder.prefix(".").suffix(".tmp");
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let temporary = builder.tempfile_in(directory(&self.target))?;
            if let Ok(old) = fs::metadata(&self.target) {
                temporary.as_file().set_permissions(old.permissions())?;
            }
            let file = temporary.as_file();
            if is_gzip_name(&self.target) {
                // No name and no time in the header: the same content is the same bytes.
                let packer = GzBuilder::new().write(file, Compression::fast());
                let mut packer = BufWriter::new(packer);
                write(&mut packer)?;
                packer.into_inner()?.finish()?;
            } else {
                let mut file = BufWriter::new(file);
                write(&mut file)?;
                file.flush()?;
            }
            temporary.as_file().sync_all()?;
            Ok(temporary)
        };
        match staged() {
            Ok(temporary) => Ok(Staged {
                temporary,
                output: self,
            }),
            Err(e) => Err(format!("cannot write {}: {e}", self.shown.display()).into()),
        }
    }
}

fn directory(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("/"))
}

/// A file that is complete but still has its temporary name.
#[derive(Debug)]
pub(crate) struct Staged {
    temporary: NamedTempFile,
    output: Output,
}

/// Gives complete files their names, each in one step that replaces an older file.
///
/// # Errors
///
/// A message that names the first file that failed and those that were written before it.
pub(crate) fn commit(files: Vec<Staged>) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut written: Vec<PathBuf> = Vec::new();
    for Staged { temporary, output } in files {
        if let Err(e) = temporary.persist(&output.target) {
            let done: Vec<_> = written.iter().map(|p| p.display().to_string()).collect();
            let done = if done.is_empty() {
                "nothing".to_owned()
            } else {
                done.join(", ")
            };
            let shown = output.shown.display();
            return Err(format!("cannot write {shown}: {} (written: {done})", e.error).into());
        }
        written.push(output.shown);
    }
    Ok(written)
}
