//! The portfolio, whole and line by line.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{self, Read};
use std::path::Path;
use std::string::FromUtf8Error;

use serde::{Deserialize, Serialize};

use scipar::kernels::CsvOptions;
use scipar::kernels::cash_value::Portfolio;

use crate::poison::{Fault, Poisons};
use crate::policies::{Lines, is_blank, short_header};
use crate::terminal::counted;

/// One item: a policy, as it is in the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) index: usize,
    /// With its line break.
    pub(crate) line: String,
}

/// The portfolio, whole and line by line.
pub(crate) struct Book {
    pub(crate) portfolio: Portfolio,
    /// With the names that matter, and its line break.
    pub(crate) header: String,
    pub(crate) policies: Vec<Policy>,
}

impl Book {
    /// Reads the first policies of a file, and checks them.
    ///
    /// # Errors
    ///
    /// Those of the crate's reader, or that a policy is not on a line of its own.
    pub(crate) fn read(file: impl Read, path: &Path, most: usize) -> Result<Self, Box<dyn Error>> {
        let mut copy = Copied {
            lines: Lines::new(file),
            text: Vec::new(),
            given: 0,
            error: None,
            kept: Vec::new(),
            most: most.saturating_add(1),
        };
        // `open` has limited what is read.
        let options = CsvOptions::new().max_input_bytes(u64::MAX);
        let portfolio = Portfolio::from_csv_reader_with(&mut copy, path, &options)?;
        let mut lines = copy.kept.into_iter();
        let header = short_header(&lines.next().unwrap_or_default(), path)?;
        let header = String::from_utf8(header)?;
        let policy = |(index, line)| {
            let line = String::from_utf8(line)?;
            Ok(Policy { index, line })
        };
        let policies = lines.enumerate().map(policy);
        let policies = policies.collect::<Result<Vec<_>, FromUtf8Error>>()?;
        if portfolio.len() != policies.len() {
            let (shown, found) = (path.display(), portfolio.len());
            let lines = counted(policies.len(), "line");
            let message = format!("{shown}: found {found} points on {lines}, expected one on each");
            return Err(message.into());
        }
        Ok(Self {
            portfolio,
            header,
            policies,
        })
    }

    /// The points that are to go wrong, by their places.
    ///
    /// # Errors
    ///
    /// If there is no such point, or one is named twice.
    pub(crate) fn faults(
        &self,
        poisons: &Poisons,
        path: &Path,
    ) -> Result<BTreeMap<usize, Fault>, Box<dyn Error>> {
        let ids = self.portfolio.point_ids();
        let mut index_of = HashMap::new();
        for (index, id) in ids.iter().enumerate() {
            index_of.entry(*id).or_insert(index);
        }
        let mut faults = BTreeMap::new();
        for &(fault, id) in &poisons.0 {
            let Some(&index) = index_of.get(&id) else {
                let (shown, count) = (path.display(), ids.len());
                let message = format!("--poison: no point {id} among the first {count} of {shown}");
                return Err(message.into());
            };
            if faults.insert(index, fault).is_some() {
                return Err(format!("--poison: point {id} has two faults").into());
            }
        }
        Ok(faults)
    }
}

/// The first lines of a file, and a copy of those that are not blank.
struct Copied<R> {
    lines: Lines<R>,
    /// Lines that are being given, and how much of them was.
    text: Vec<u8>,
    given: usize,
    /// What comes after them, if they could not be read.
    error: Option<io::Error>,
    kept: Vec<Vec<u8>>,
    /// The most lines that are kept; nothing comes after the last of them.
    most: usize,
}

impl<R: Read> Copied<R> {
    /// Reads some lines, as one may be blank and there may be millions of such.
    fn fill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.given = 0;
        while self.text.len() < 1 << 12 && self.kept.len() < self.most {
            let start = self.text.len();
            if !self.lines.read(&mut self.text)? {
                break;
            }
            let line = &self.text[start..];
            if !is_blank(line) {
                self.kept.push(line.to_owned());
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            self.error = self.fill().err();
            if self.text.is_empty() && self.error.is_none() {
                return Ok(0);
            }
        }
        let found = (&self.text[self.given..]).read(buffer)?;
        self.given += found;
        Ok(found)
    }
}
