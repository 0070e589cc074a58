//! The fast projection, on all workers of a pool.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::assumptions::Assumptions;
use super::block::{BLOCK, project_block};
use super::error::CashValueError;
use super::plan::Plan;
use super::portfolio::Portfolio;
use super::projection::{PresentValues, Projection};
use super::totals::Totals;
use crate::chunking::Chunking;
use crate::pool::Pool;

/// Projects.
pub fn project(
    portfolio: &Portfolio,
    assumptions: &Assumptions,
) -> Result<Projection, CashValueError> {
    Projector::new(portfolio, assumptions).run()
}

/// Long form.
pub struct Projector<'a> {
    portfolio: &'a Portfolio,
    assumptions: &'a Assumptions,
    pool: Option<&'a Pool>,
    chunking: Chunking,
    progress: Option<Box<dyn Fn(usize) + Sync + 'a>>,
}

impl<'a> Projector<'a> {
    /// New.
    pub fn new(portfolio: &'a Portfolio, assumptions: &'a Assumptions) -> Self {
        Projector {
            portfolio,
            assumptions,
            pool: None,
            chunking: Chunking::size(1),
            progress: None,
        }
    }
    /// Pool.
    #[must_use]
    pub fn pool(mut self, pool: &'a Pool) -> Self {
        self.pool = Some(pool);
        self
    }
    /// Chunking.
    #[must_use]
    pub fn chunking(mut self, chunking: Chunking) -> Self {
        self.chunking = chunking;
        self
    }
    /// Progress.
    #[must_use]
    pub fn progress(mut self, f: impl Fn(usize) + Sync + 'a) -> Self {
        self.progress = Some(Box::new(f));
        self
    }
    /// Run.
    pub fn run(self) -> Result<Projection, CashValueError> {
        let plan = Plan::new(self.portfolio, self.assumptions)?;
        let mut values = vec![PresentValues::default(); self.portfolio.len()];
        let finished = AtomicUsize::new(0);
        let blocks: Vec<(usize, &mut [PresentValues])> =
            values.chunks_mut(BLOCK).enumerate().collect();
        let pool = match self.pool {
            Some(pool) => pool,
            None => Pool::global(),
        };
        let totals = pool.par_map_reduce_chunked(
            blocks,
            self.chunking,
            |(block, values)| {
                let rows = project_block(&plan, block * BLOCK, values);
                if let Some(report) = &self.progress {
                    report(finished.fetch_add(values.len(), Ordering::Relaxed) + values.len());
                }
                Totals::of_block(block, rows)
            },
            Totals::default,
            Totals::join,
        );
        let rows = totals.finish(&plan.months, plan.scalars);
        Projection::new(&plan, values, &rows)
    }
}

impl fmt::Debug for Projector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector").finish_non_exhaustive()
    }
}
