//! How sure a rate is: intervals that hold the true one 95 times in 100.
//!
//! Of one rate Wilson's score interval (Wilson 1927, "Probable inference, the law of succession, and statistical
//! inference", JASA 22), which is good for few events and for rates near zero (Brown, Cai and DasGupta 2001, "Interval
//! estimation for a binomial proportion", Statistical Science 16). Of the difference of two, Newcombe's, which is made of
//! theirs (Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in Medicine
//! 17, method 10).

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A figure and where the true one is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// What was found.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The rate of events among trials; none where there were no trials, or more events than these.
pub fn rate(events: u64, trials: u64) -> Option<Estimate> {
    if trials == 0 || events > trials {
        return None;
    }
    let (events, trials) = (events as f64, trials as f64);
    let value = events / trials;
    let spread = Z * Z / trials;
    let middle = (value + spread / 2.0) / (1.0 + spread);
    let half = (spread * (value * (1.0 - value) + spread / 4.0)).sqrt() / (1.0 + spread);
    Some(Estimate { value, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

/// By how much the first rate is above the second.
pub fn difference(first: Estimate, second: Estimate) -> Estimate {
    let value = first.value - second.value;
    let below = (first.value - first.low).hypot(second.high - second.value);
    let above = (first.high - first.value).hypot(second.value - second.low);
    Estimate { value, low: value - below, high: value + above }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(estimate: Estimate) -> [f64; 3] {
        [estimate.value, estimate.low, estimate.high].map(|number| (number * 1e4).round() / 1e4)
    }

    #[test]
    fn a_rate_has_wilsons_interval() {
        // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        for ((events, trials), wanted) in [
            ((81, 263), [0.3080, 0.2553, 0.3662]),
            ((15, 148), [0.1014, 0.0624, 0.1605]),
            ((0, 20), [0.0, 0.0, 0.1611]),
            ((1, 29), [0.0345, 0.0061, 0.1718]),
        ] {
            assert_eq!(rounded(rate(events, trials).unwrap()), wanted, "{events} of {trials}");
        }
        assert_eq!(rate(0, 0), None);
        assert_eq!(rate(3, 2), None);
        assert_eq!(rate(7, 7).unwrap().high, 1.0);
    }

    #[test]
    fn a_difference_has_newcombes_interval() {
        // Newcombe 1998, table II, method 10.
        for ([(a, m), (b, n)], wanted) in [
            ([(56, 70), (48, 80)], [0.2, 0.0524, 0.3339]),
            ([(9, 10), (3, 10)], [0.6, 0.1705, 0.8090]),
            ([(5, 56), (0, 29)], [0.0893, -0.0381, 0.1926]),
        ] {
            let found = difference(rate(a, m).unwrap(), rate(b, n).unwrap());
            assert_eq!(rounded(found), wanted, "{a}/{m} and {b}/{n}");
        }
    }
}
