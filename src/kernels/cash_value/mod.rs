//! The present value of insurance: every policy of a portfolio, month by month, on all cores.
//!
//! A portfolio is a table of *points*, each standing for a number of policies that are alike. A policy has
//! an account: premiums go in, fees and the cost of insurance go out, and it earns the return of an
//! investment scenario. Policyholders die, surrender or reach the end of the term, and are paid from it. The
//! projection follows every point over T months and gives
//!
//! * [present values](PresentValues) for each point: nine sums Σ x(t)·v(t) of its flows x, discounted by v;
//! * [totals for each month](MonthlyFlows) over all points, not discounted: 17 flows and 5 policy counts.
//!
//! The model is `CashValue_ME` of the library `savings` in [lifelib](https://lifelib.io) 0.17.2, whose numbers
//! are met to 1e-9 (net figures: to 1e-12 of the flows that they are the difference of).
//!
//! [`project`] is the fast way, [`Projector`] the same with a pool, a chunking and a report of progress, and
//! [`project_serial`] the plain formulas, one point at a time. Data comes from memory ([`Portfolio::new`],
//! [`Assumptions::new`]) or, with the feature `csv`, from files (`Portfolio::read_csv`,
//! `Assumptions::read_dir`). Whatever is wrong with it is a [`CashValueError`] that names the place.
//!
//! # Examples
//!
//! ```
//! use scipar::kernels::cash_value::{
//!     Assumptions, Columns, MortalityTable, Portfolio, PremiumType, Product, Scalars, Scenario, Tables,
//!     project,
//! };
//!
//! let endowment = Product {
//!     id: "endowment".into(),
//!     premium_type: PremiumType::Single,
//!     surrender_charge: None,
//!     premium_load: 0.1,
//!     is_whole_life: false,
//! };
//! let assumptions = Assumptions::new(
//!     Tables {
//!         products: vec![endowment],
//!         mortality: MortalityTable { first_age: 18, rates: vec![vec![0.001]; 103] },
//!         surrender_charges: vec![],
//!         spot_rates: vec![0.01; 30],
//!         normal_draws: vec![Scenario { id: 1, draws: vec![0.0; 360] }],
//!     },
//!     Scalars::default(),
//! )?;
//! let portfolio = Portfolio::new(Columns {
//!     point_id: vec![1, 2],
//!     spec_id: vec!["endowment".into(), "endowment".into()],
//!     age_at_entry: vec![30, 50],
//!     policy_term: vec![10, 20],
//!     policy_count: vec![100.0, 50.0],
//!     sum_assured: vec![500_000.0, 400_000.0],
//!     duration_mth: vec![0, 36], // the second point has been in force for three years
//!     premium_pp: vec![500_000.0, 400_000.0],
//!     av_pp_init: vec![0.0, 390_000.0],
//! })?;
//! let projection = project(&portfolio, &assumptions)?;
//! assert_eq!(projection.horizon(), 205); // 12·20 - 36 + 1 months
//! assert_eq!(projection.present_values()[0].premiums, 100.0 * 500_000.0);
//! assert_eq!(projection.present_values()[1].premiums, 0.0); // its single premium was paid long ago
//! assert_eq!(projection.cash_flows().column("pols_new_biz").map(|c| c[0]), Some(100.0));
//! # Ok::<(), scipar::kernels::cash_value::CashValueError>(())
//! ```
//!
//! # The model
//!
//! Time t counts months from 0, and D = `duration_mth` + t the months since issue of a point. Its policy year
//! d = ⌊D/12⌋ and its age, at entry plus d, change on policy anniversaries; so do the rates: the monthly
//! probability of death 1 - (1 - q)^(1/12) from the mortality table (0 outside it), that of lapse from
//! max(10 % - 2 %·d, 2 %) a year, the surrender charge. In each month:
//!
//! 1. Policies with D = 12·term mature and are paid their account. Policies with D = 0 are issued.
//! 2. The premium, less the loading, goes into the account: the single one at D = 0, a level one every month
//!    before the end of the term.
//! 3. The fee (a share of the account) and the cost of insurance (a multiple of the probability of death, times
//!    what the sum assured exceeds the account by) go out.
//! 4. The account earns the return of the month, exp((µ - σ²/2)/12 + σ·√(1/12)·z) - 1 with the draw z.
//! 5. In the middle of the month, with half the return, deaths are paid the larger of sum assured and
//!    account, then lapses the account less the charge. Whoever remains has the whole return.
//!
//! Whole-life policies end at the first age of the table at which all die.
//! Discounting is from the start of the month at the spot rate of its year, v(t) = (1 + s)^(-t/12).
//! T is the longest time still to run, 12·term - `duration_mth` + 1, of any point.
//!
//! Some consequences surprise, and are the reference model's:
//!
//! * A level premium also goes into the account *before* issue (negative duration), and nobody paid it.
//! * A point past its term is projected as if it had none, until T, which the *other* points decide.
//! * An account may go negative, grows so, and is paid as a negative amount.
//! * The initial account of a point issued at time 0 is credited, but not counted as in force before.
//! * A whole-life policy does not usually mature: the table's last columns reach 1 years before the last age.
//!
//! # How fast it is, and why not faster
//!
//! A month of a point is 57 operations in double precision, 24 multiplications and 33 additions or comparisons, 15 of which are the totals over
//! the points. It reads 128 bytes of the point's state and writes 64: 0.3 operations per byte, far too few for anything but the
//! innermost cache. So 128 points, eight of them side by side (1.4 KiB), are taken through a year before the next ones are, and they and the year's totals
//! (10 KiB) stay there; memory sees a point's 72 bytes of input and 72 of result. The formulas are brought into a form with few additions. Points
//! with as many months ahead come together and leave together, and a policy anniversary of eight at once is a loop without branches.
//!
//! The loop is compiled for AVX-512, AVX2 and the baseline of the target, and the
//! best that the machine has is taken when the program runs (feature `simd`); multiplications and additions are not fused, so the bits are the same.
//!
//! A core that does one addition and one multiplication of eight numbers per cycle, such as Zen 4, needs at least 33 cycles for a month of eight points. The shipped
//! portfolio of 10,000 points is 5.7 million months: 23 million cycles, 6.4 ms at 3.67 GHz. The inner loop takes 7.3 of the 10.5 ms that the
//! projection takes on such a core, so it runs at 88 % of that peak. The rest are mostly the changes of rates once a year (1.3 ms).
//! [`Projector::present_values`] leaves the totals out: 18 additions and as many multiplications, 6.7 ms.

mod assumptions;
mod block;
#[cfg(feature = "csv")]
mod csv;
mod error;
mod group;
mod parallel;
mod plan;
mod portfolio;
mod projection;
mod rates;
mod serial;
#[cfg(feature = "csv")]
mod sheet;
mod step;
mod tables;
#[cfg(test)]
mod testing;
mod totals;

pub use assumptions::Assumptions;
pub use error::{CashValueError, Place};
pub use parallel::{Projector, project};
pub use portfolio::{Columns, Portfolio};
pub use projection::{MonthlyFlows, PresentValues, Projection};
pub use serial::project_serial;
pub use tables::{
    MortalityTable, PremiumType, Product, Scalars, Scenario, SurrenderCharge, Tables,
};
