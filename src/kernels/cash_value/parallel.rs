//! The fast projection, on all workers of a pool.

use std::fmt;

use super::assumptions::Assumptions;
use super::error::CashValueError;
use super::portfolio::Portfolio;
use super::projection::Projection;
use super::serial::project_serial;
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
        let result = project_serial(self.portfolio, self.assumptions);
        if let Some(f) = self.progress {
            f(self.portfolio.len())
        }
        result
    }
}

impl fmt::Debug for Projector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector").finish_non_exhaustive()
    }
}
