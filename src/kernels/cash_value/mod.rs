//! Cash value.

mod assumptions;
mod block;
#[cfg(feature = "csv")]
mod csv;
mod error;
mod parallel;
mod plan;
mod portfolio;
mod projection;
mod rates;
mod serial;
mod tables;
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
