//! The fast projection, on all workers of a pool.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::assumptions::Assumptions;
use super::block::{block_lens, project_block};
use super::error::CashValueError;
use super::plan::Plan;
use super::portfolio::Portfolio;
use super::projection::{PresentValues, Projection, check_values};
use super::step::Month;
use super::tables::Scenario;
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
/// Reproducible: the same bits for any number of workers. Points are taken in blocks of up to 512, those with the most months
/// ahead first, present values come in portfolio order, and the totals of the blocks are combined in a tree that depends
/// on the points alone. (`exp` and `pow` are the system's, so another platform may differ in the last
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
    /// A projection on the global pool that hands out one block of up to 512 points at a time.
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

    /// Decides how blocks of up to 512 points (fewer where they have many months ahead) are handed out; the result has the same bits in any case.
    ///
    /// [`Chunking::serial`] computes on the caller's thread.
    pub fn chunking(mut self, chunking: Chunking) -> Self {
        self.chunking = chunking;
        self
    }

    /// Calls `report` with the number of points finished so far, after each block of up to 512 points.
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
        let selected = self.assumptions.selected();
        let mut projections = self.run_all(&[selected])?;
        Ok(projections.remove(0))
    }

    /// Projects the portfolio under each of some scenarios, given by their numbers; the results come in this order.
    ///
    /// Choose it for several scenarios: all their blocks are one piece of work for the pool, so that its workers
    /// wait for each other once, and not once per scenario. Each projection has the bits of [`run`](Self::run) with that scenario
    /// [selected](Assumptions::with_scenario). A report of progress counts the points of all scenarios.
    ///
    /// ```
    /// use scipar::kernels::cash_value::{Assumptions, CashValueError, Portfolio, Projector};
    ///
    /// fn net_cash_flows(
    ///     portfolio: &Portfolio,
    ///     assumptions: &Assumptions,
    /// ) -> Result<Vec<f64>, CashValueError> {
    ///     let ten: Vec<u32> = (1..=10).collect();
    ///     let projections = Projector::new(portfolio, assumptions).run_scenarios(&ten)?;
    ///     Ok(projections.iter().map(|p| p.totals().net_cashflow).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`project`], and [`CashValueError::UnknownScenario`]; before anything is computed where that is possible.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Cost
    ///
    /// That of [`run`](Self::run) times the number of scenarios; all results are kept, 72 bytes per point and scenario.
    pub fn run_scenarios(self, scenarios: &[u32]) -> Result<Vec<Projection>, CashValueError> {
        let find = |&id: &u32| self.assumptions.scenario_of(id);
        let scenarios: Vec<&Scenario> = scenarios.iter().map(find).collect::<Result<_, _>>()?;
        self.run_all(&scenarios)
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
        let plan = Plan::new(
            self.portfolio,
            self.assumptions,
            self.assumptions.selected(),
        )?;
        let (mut values, _) = self.project::<false>(std::slice::from_ref(&plan));
        let values = values.remove(0);
        check_values(&plan, &values)?;
        Ok(values)
    }

    fn run_all(self, scenarios: &[&Scenario]) -> Result<Vec<Projection>, CashValueError> {
        let is_one = scenarios.len() == 1;
        let named = |error: CashValueError, scenario: &Scenario| match is_one {
            true => error,
            false => error.under(scenario.id),
        };
        let plan = |&scenario| {
            Plan::new(self.portfolio, self.assumptions, scenario).map_err(|e| named(e, scenario))
        };
        let plans: Vec<Plan<'_>> = scenarios.iter().map(plan).collect::<Result<_, _>>()?;
        let (values, totals) = self.project::<true>(&plans);
        // Each plan has totals, as no portfolio is empty.
        let each = plans.iter().zip(values).zip(totals).zip(scenarios);
        each.map(|(((plan, values), (_, totals)), &scenario)| {
            let rows = totals.finish(&plan.months, plan.scalars);
            Projection::new(plan, values, &rows).map_err(|e| named(e, scenario))
        })
        .collect()
    }

    /// For each plan the values of its points and the totals, with its index.
    fn project<const TOTALS: bool>(self, plans: &[Plan<'_>]) -> (Vec<Values>, Runs) {
        let points = self.portfolio.len();
        let courses: Vec<_> = plans.iter().map(|plan| (Month::all(plan), plan)).collect();
        let order = plans.first().map_or_else(Vec::new, Plan::by_months_ahead);
        // One vector for each plan, so that none is kept longer than it is needed.
        let mut values = vec![vec![PresentValues::default(); points]; plans.len()];
        let finished = AtomicUsize::new(0);
        let pool = match self.pool {
            Some(pool) => pool,
            None => Pool::global(),
        };
        let lens = plans
            .first()
            .map_or_else(Vec::new, |plan| block_lens(plan, &order));
        let mut blocks = Vec::with_capacity(lens.len() * plans.len());
        for (run, values) in values.iter_mut().enumerate() {
            let mut values = &mut values[..];
            let mut points = &order[..];
            for (index, &len) in lens.iter().enumerate() {
                let (mine, others) = points.split_at(len);
                let (of_mine, of_others) = values.split_at_mut(len);
                (points, values) = (others, of_others);
                blocks.push(Block {
                    run,
                    index,
                    points: mine,
                    values: of_mine,
                });
            }
        }
        let project_one = |block: Block<'_>| {
            let (months, plan) = &courses[block.run];
            let rows = project_block::<TOTALS>(plan, months, block.points, block.values);
            if let Some(report) = &self.progress {
                let more = block.points.len();
                report(finished.fetch_add(more, Ordering::Relaxed) + more);
            }
            vec![(block.run, Totals::of_block(block.index, rows))]
        };
        let totals =
            pool.par_map_reduce_chunked(blocks, self.chunking, project_one, Vec::new, join);
        let by_point = |values: Values| {
            let mut by_point = vec![PresentValues::default(); points];
            for (&point, values) in order.iter().zip(values) {
                by_point[point] = values;
            }
            by_point
        };
        (values.into_iter().map(by_point).collect(), totals)
    }
}

/// The present values of a portfolio under one scenario.
type Values = Vec<PresentValues>;

/// Totals of neighbouring blocks, which may belong to several runs through the portfolio.
type Runs = Vec<(usize, Totals)>;

/// Some points in one run through the portfolio.
struct Block<'a> {
    run: usize,
    index: usize,
    points: &'a [usize],
    values: &'a mut [PresentValues],
}

/// Joins the totals of neighbouring blocks of the same run.
fn join(mut left: Runs, right: Runs) -> Runs {
    for (run, next) in right {
        match left.last_mut() {
            Some((last, totals)) if *last == run => {
                *totals = std::mem::take(totals).join(next);
            }
            _ => left.push((run, next)),
        }
    }
    left
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
