//! How distances are measured, and what comes out.

/// The distance of two points l and r.
///
/// Sums over coordinates run in their order, without fused operations.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// √Σ(l-r)².
    #[default]
    Euclidean,
    /// Σ(l-r)², as PyTorch3D has it.
    SquaredEuclidean,
    /// √(l·r), the affinity of the notebook "Accelerating Python for Scientific Computing" (2018): no metric, for it is not zero for
    /// equal points. Kept so that the notebook's tables can be made again. Pairs with a negative product are
    /// left out of the minimum, and a point that has no other pairs is infinitely far.
    SqrtDot,
}

/// How the means h(L→R), of the distance from each point of L to the nearest of R, and h(R→L) become one number.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// The larger one.
    #[default]
    MaxOfMeans,
    /// Their sum: PyTorch3D's with squared distances, Open3D's with plain ones.
    SumOfMeans,
    /// Half their sum.
    Mean,
}

impl Metric {
    /// What becomes of the least square, or the least product.
    #[inline(always)]
    pub(super) fn finish(self, least: f64) -> f64 {
        match self {
            Metric::Euclidean | Metric::SqrtDot => least.sqrt(),
            Metric::SquaredEuclidean => least,
        }
    }
}

impl Reduction {
    #[inline(always)]
    pub(super) fn reduce(self, left: f64, right: f64) -> f64 {
        match self {
            Reduction::MaxOfMeans => left.max(right),
            Reduction::SumOfMeans => left + right,
            Reduction::Mean => 0.5 * (left + right),
        }
    }

    /// The most that one of the means can be where the result is not above a limit.
    #[inline(always)]
    pub(super) fn most(self, limit: f64) -> f64 {
        match self {
            Reduction::MaxOfMeans | Reduction::SumOfMeans => limit,
            Reduction::Mean => 2.0 * limit,
        }
    }
}

/// The nearest cluster of the other set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Its index; the lowest one of several at the same distance.
    pub cluster: usize,
    /// The distance.
    pub distance: f64,
}

impl Nearest {
    /// Infinitely far.
    pub(super) const NONE: Nearest = Nearest {
        cluster: 0,
        distance: f64::INFINITY,
    };

    /// The distance of this cluster, if it is the one.
    #[inline(always)]
    pub(super) fn if_it_is(&self, cluster: usize) -> Option<f64> {
        (self.cluster == cluster && self.distance < f64::INFINITY).then_some(self.distance)
    }

    /// Takes a nearer cluster. Of several at one distance, the first that is offered stays.
    #[inline(always)]
    pub(super) fn offer(&mut self, cluster: usize, distance: f64) {
        if distance < self.distance {
            *self = Nearest { cluster, distance };
        }
    }
}

/// Two sets of clusters matched with each other, in both directions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// For each cluster of the left set the nearest one of the right.
    pub left: Vec<Nearest>,
    /// For each cluster of the right set the nearest one of the left.
    pub right: Vec<Nearest>,
}

/// The nearest point of another set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its row; the lowest one of several at the same distance (before the root is taken).
    pub index: usize,
    /// The distance.
    pub distance: f64,
}
