//! The fast projection, on all workers of a pool.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::assumptions::Assumptions;
use super::block::{BLOCK, project_block};
use super::error::CashValueError;
use super::plan::Plan;
use super::portfolio::Portfolio;
use super::projection::{PresentValues, Projection, check_values};
use super::totals::Totals;
use crate::chunking::Chunking;
use crate::pool::Pool;

/// Projects a portfolio on the global pool.
///
/// Choose [`Projector`] for another pool, another chunking or a report of progress, and
/// [`project_serial`](super::project_serial) for the plain formulas.
///
/// # Examples
///
/// See the [module](super).
///
/// # Ordering and determinism
///
/// Reproducible: the same bits for any number of workers. Points are taken in blocks of 256 by their position,
/// present values come in portfolio order, and the totals of the blocks are combined in a tree that depends
/// on the number of points alone. (`exp` and `pow` are the system's, so another platform may differ in the last
/// bits.) Present values of a point do not depend on its neighbours at all, except
/// through T if it is past its term.
///
/// # Blocking
///
/// Until the projection is done; the caller computes too.
///
/// # Errors
///
/// [`CashValueError`] if a product is not in the table, if the longest projection needs more months than there
/// are draws or spot rates, or if a result is not finite.
///
/// # Cost
///
/// Proportional to the months in which points still have policies. Memory: 72 bytes of result per point; 144
/// bytes per month for each block in work, and for the few sums that wait for their neighbour.
pub fn project(
    portfolio: &Portfolio,
    assumptions: &Assumptions,
) -> Result<Projection, CashValueError> {
    Projector::new(portfolio, assumptions).run()
}

/// The long form of [`project`]: with a pool, a chunking, and a report of progress.
///
/// # Examples
///
/// ```
/// use scipar::kernels::cash_value::{Assumptions, CashValueError, Portfolio, Projection, Projector};
/// use scipar::{Chunking, Pool};
///
/// fn on_two_workers(
///     portfolio: &Portfolio,
///     assumptions: &Assumptions,
/// ) -> Result<Projection, CashValueError> {
///     let pool = Pool::new(2);
///     Projector::new(portfolio, assumptions)
///         .pool(&pool)
///         .chunking(Chunking::count(8))
///         .progress(|finished| eprintln!("{finished} of {} points", portfolio.len()))
///         .run()
/// }
/// ```
#[must_use = "a projector does nothing until it is run"]
pub struct Projector<'a> {
    portfolio: &'a Portfolio,
    assumptions: &'a Assumptions,
    /// `None` is the global pool.
    pool: Option<&'a Pool>,
    chunking: Chunking,
    progress: Option<Progress<'a>>,
}

/// Is told the number of points finished so far.
type Progress<'a> = Box<dyn Fn(usize) + Send + Sync + 'a>;

impl<'a> Projector<'a> {
    /// A projection on the global pool that hands out one block of 512 points at a time.
    pub fn new(portfolio: &'a Portfolio, assumptions: &'a Assumptions) -> Self {
        let chunking = Chunking::size(1);
        Projector {
            portfolio,
            assumptions,
            pool: None,
            chunking,
            progress: None,
        }
    }

    /// Uses this pool.
    pub fn pool(mut self, pool: &'a Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Decides how blocks of 512 points are handed out; the result has the same bits in any case.
    ///
    /// [`Chunking::serial`] computes on the caller's thread.
    pub fn chunking(mut self, chunking: Chunking) -> Self {
        self.chunking = chunking;
        self
    }

    /// Calls `report` with the number of points finished so far, after each block of 512 points.
    ///
    /// Workers call it, at the same time and not in the order of the numbers; each number comes once, the last
    /// one is the length of the portfolio.
    pub fn progress(mut self, report: impl Fn(usize) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Projects the portfolio.
    ///
    /// Ordering, blocking and cost are those of [`project`].
    ///
    /// # Errors
    ///
    /// As [`project`].
    ///
    /// # Panics
    ///
    /// Re-raises a panic of the closure given to [`progress`](Self::progress).
    pub fn run(self) -> Result<Projection, CashValueError> {
        let plan = Plan::new(self.portfolio, self.assumptions)?;
        let (values, totals) = self.project::<true>(&plan);
        let rows = totals.finish(&plan.months, plan.scalars);
        Projection::new(&plan, values, &rows)
    }

    /// Projects the portfolio for its present values alone, with the bits that [`run`](Self::run) gives them: about a third
    /// less work, as nothing is added up over the points month by month.
    ///
    /// # Errors
    ///
    /// As [`project`], as far as present values are concerned: the first point whose values are not finite.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn present_values(self) -> Result<Vec<PresentValues>, CashValueError> {
        let plan = Plan::new(self.portfolio, self.assumptions)?;
        let (values, _) = self.project::<false>(&plan);
        check_values(&plan, &values)?;
        Ok(values)
    }

    fn project<const TOTALS: bool>(self, plan: &Plan<'_>) -> (Vec<PresentValues>, Totals) {
        let mut values = vec![PresentValues::default(); self.portfolio.len()];
        let finished = AtomicUsize::new(0);
        let pool = match self.pool {
            Some(pool) => pool,
            None => Pool::global(),
        };
        let blocks: Vec<(usize, &mut [PresentValues])> =
            values.chunks_mut(BLOCK).enumerate().collect();
        let project_one = |(block, values): (usize, &mut [PresentValues])| {
            let rows = project_block::<TOTALS>(plan, block * BLOCK, values);
            if let Some(report) = &self.progress {
                report(finished.fetch_add(values.len(), Ordering::Relaxed) + values.len());
            }
            Totals::of_block(block, rows)
        };
        let totals = pool.par_map_reduce_chunked(
            blocks,
            self.chunking,
            project_one,
            Totals::default,
            Totals::join,
        );
        (values, totals)
    }
}

impl fmt::Debug for Projector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector")
            .field("points", &self.portfolio.len())
            .field("scenario", &self.assumptions.scenario())
            .field("chunking", &self.chunking)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
