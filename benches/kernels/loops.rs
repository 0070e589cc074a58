//! The N^4 loop: its honest sum, sequential and parallel.

use scipar::Pool;
use scipar::kernels::quartic::{iterations, par_sum, sum};

use super::{Case, Contender, Size};

pub(super) fn cases(size: Size) -> Vec<Case> {
    let n = match size {
        Size::Tiny => 30,
        Size::Quick => 120,
        Size::Full => 400,
    };
    let one = Pool::new(1);
    // The sums of both have the bits of the closed form for these `n`, and so of each other.
    vec![Case {
        name: format!("quartic sum, n = {n}"),
        work: (iterations(n).expect("few enough") as f64, " turns"),
        contenders: vec![
            Contender::new("plain", move || sum(n).to_bits()),
            Contender::new("serial", move || par_sum(&one, n).to_bits()),
            Contender::new("parallel", move || par_sum(Pool::global(), n).to_bits()),
        ],
    }]
}
