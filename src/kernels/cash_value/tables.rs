//! The assumption tables and scalars as plain data.

/// When the premiums of a product are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PremiumType {
    /// Once, at issue.
    Single,
    /// Every month until the end of the term.
    Level,
}

/// One row of the product table.
///
/// The attributes are independent: any combination of them is projected by the same formulas.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Key that the points of a portfolio refer to.
    pub id: String,
    /// When premiums are paid.
    pub premium_type: PremiumType,
    /// [`SurrenderCharge::id`] of the charge on surrender, `None` where there is none.
    pub surrender_charge: Option<String>,
    /// Share of each premium that is kept as loading, from 0 to 1; the rest goes into the account.
    pub premium_load: f64,
    /// Whether the policy runs to the last age of the mortality table instead of for a term.
    pub is_whole_life: bool,
}

/// Annual death probabilities by attained age and policy year.
#[derive(Clone, Debug, PartialEq)]
pub struct MortalityTable {
    /// Age of the first row, in years.
    pub first_age: i32,
    /// One row per year of age, all of one length: the probability in policy year 0, 1, ...; the last
    /// column holds for all later years. Outside the table nobody dies.
    pub rates: Vec<Vec<f64>>,
}

/// Surrender-charge rates of one type, as a share of the account value.
#[derive(Clone, Debug, PartialEq)]
pub struct SurrenderCharge {
    /// Key that products refer to.
    pub id: String,
    /// The rate by policy year, from 0 to 1; the last one holds for all later years.
    pub rates: Vec<f64>,
}

/// One path of standard normal draws, which drive the investment return.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Number of the scenario.
    pub id: u32,
    /// One draw per month of the projection.
    pub draws: Vec<f64>,
}

/// All tables of the model; [`Assumptions::new`](super::Assumptions::new) checks them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The products, in any order.
    pub products: Vec<Product>,
    /// Annual death probabilities.
    pub mortality: MortalityTable,
    /// The surrender charges, in any order; may be empty if no product has one.
    pub surrender_charges: Vec<SurrenderCharge>,
    /// Annually compounded zero-coupon spot rate for each year of the projection.
    pub spot_rates: Vec<f64>,
    /// The scenarios, in any order.
    pub normal_draws: Vec<Scenario>,
}

/// The numbers of the model that are not tables; [`Default`] gives the reference model's.
///
/// Money is in the currency unit of the portfolio. The step of the projection is fixed at one month.
///
/// # Examples
///
/// ```
/// use scipar::kernels::cash_value::Scalars;
///
/// let mut scalars = Scalars::default();
/// scalars.inflation_rate = 0.02;
/// assert_eq!(scalars.acquisition_expense, 5000.0);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Scalars {
    /// Expense per new policy, at issue. 5000.
    pub acquisition_expense: f64,
    /// Expense per policy in force and year, before inflation; a twelfth of it is due each month. 500.
    pub maintenance_expense: f64,
    /// Annual inflation of the maintenance expense. 0.01.
    pub inflation_rate: f64,
    /// Fee per month as a share of the account value. 0.01/12.
    pub maintenance_fee_rate: f64,
    /// Cost of insurance as a multiple of the monthly death probability. 1.1.
    pub coi_multiplier: f64,
    /// Commission as a share of each premium. 0.05.
    pub commission_rate: f64,
    /// Annual drift of the investment return, the µ of the log-normal model. 0.02.
    pub return_drift: f64,
    /// Annual volatility of the investment return, the σ of the log-normal model. 0.03.
    pub return_volatility: f64,
}

impl Default for Scalars {
    fn default() -> Self {
        Scalars {
            acquisition_expense: 5000.0,
            maintenance_expense: 500.0,
            inflation_rate: 0.01,
            maintenance_fee_rate: 0.01 / 12.0,
            coi_multiplier: 1.1,
            commission_rate: 0.05,
            return_drift: 0.02,
            return_volatility: 0.03,
        }
    }
}
