//! The list of scenarios on the command line: `3`, `1,3,5-10`, `all`.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use scipar::kernels::cash_value::{Assumptions, CashValueError};

use crate::terminal::whole;

/// Which scenarios are to be projected.
#[derive(Clone, Debug)]
pub(crate) enum Scenarios {
    /// Those of the table.
    All,
    /// In the order given; at least one range, none is empty, and no number is in two of them.
    Listed(Vec<RangeInclusive<u32>>),
}

impl Scenarios {
    /// Reads the list; its ranges stay ranges, as one may be longer than any table.
    ///
    /// # Errors
    ///
    /// A message about the part that is no number and no range, or the number that is there twice.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let ranges: Vec<_> = text.split(',').map(range).collect::<Result<_, _>>()?;
        let mut sorted = ranges.clone();
        sorted.sort_unstable_by_key(|range| *range.start());
        match sorted.windows(2).find(|two| two[1].start() <= two[0].end()) {
            None => Ok(Self::Listed(ranges)),
            Some(two) => Err(format!(
                "found {} twice, expected each scenario once",
                two[1].start()
            )),
        }
    }

    /// The numbers in the order given, or in that of the table.
    ///
    /// # Errors
    ///
    /// [`CashValueError::UnknownScenario`] for the first number that is not in the table.
    pub(crate) fn numbers(&self, assumptions: &Assumptions) -> Result<Vec<u32>, CashValueError> {
        let draws = &assumptions.tables().normal_draws;
        let known: Vec<u32> = draws.iter().map(|scenario| scenario.id).collect();
        let Self::Listed(ranges) = self else {
            return Ok(known);
        };
        let in_table: HashSet<u32> = known.iter().copied().collect();
        let mut numbers = Vec::new();
        for id in ranges.iter().cloned().flatten() {
            if !in_table.contains(&id) {
                return Err(CashValueError::UnknownScenario { id, known });
            }
            numbers.push(id);
        }
        Ok(numbers)
    }
}

/// Reads `3` or `5-10`.
fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let number = whole(0..=u32::MAX);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = match (number(first), number(last)) {
        (Ok(first), Ok(last)) => (first, last),
        (Err(expected), _) | (_, Err(expected)) => {
            return Err(format!(
                "found {text:?}, {expected}, a list such as 1,3,5-10, or \"all\" by itself"
            ));
        }
    };
    if first > last {
        return Err(format!(
            "found {text:?}, expected the lower number first, {last}-{first}"
        ));
    }
    Ok(first..=last)
}
