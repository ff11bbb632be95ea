//! What each kind of event means: its weight, its threshold, and whether it marks an item as seen or hidden.

use crate::types::{Event, Kind};

/// Millionths in one.
pub const MICROS: i64 = 1_000_000;

/// When events of a kind mark their item as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Never.
    No,
    /// As long as one is live.
    Yes,
    /// As long as the sum of their values is above zero: a purchase that was cancelled is not seen.
    WhilePositive,
}

/// The meaning of one kind (DESIGN.md section 4, "Kinds").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KindRule {
    /// Evidence for the item, in millionths; negative is evidence against it.
    pub weight: i64,
    /// Whether the weight is multiplied by the event's value.
    pub times_value: bool,
    /// Events with a value from 0 to below this carry no weight, in millionths; negative values skip it.
    pub counts_from: Option<i64>,
    /// The least that a member's weights of this kind for one item add up to, in millionths.
    pub floor: Option<i64>,
    /// When the item counts as seen.
    pub seen: Seen,
    /// Whether a live event keeps the item out of every list of the member.
    pub hides: bool,
}

impl KindRule {
    /// A kind that is counted and nothing more, as unknown kinds are.
    pub const COUNTED: KindRule = KindRule {
        weight: 0,
        times_value: false,
        counts_from: None,
        floor: None,
        seen: Seen::No,
        hides: false,
    };

    /// The weight of an event with this value, in millionths, rounded half to even.
    ///
    /// Within i64: |value| is at most 10⁹ and a weight at most 1,000 (the config sees to that).
    pub fn weight_of(&self, value: i64) -> i64 {
        if self.counts_from.is_some_and(|least| (0..least).contains(&value)) {
            0
        } else if self.times_value {
            round_micros(i128::from(self.weight) * i128::from(value))
        } else {
            self.weight
        }
    }
}

/// `product` of two numbers in millionths, back in millionths, rounded half to even.
fn round_micros(product: i128) -> i64 {
    let unit = i128::from(MICROS);
    let (quotient, rest) = (product.div_euclid(unit), product.rem_euclid(unit));
    let up = match (2 * rest).cmp(&unit) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    (quotient + i128::from(up)) as i64
}

/// The configured kinds by number. A number past the end is an unknown kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kinds {
    rules: Vec<KindRule>,
    progress: Option<Kind>,
}

impl Kinds {
    /// Kinds numbered in the order given, and the one, if any, whose value is the part watched.
    pub fn new(rules: Vec<KindRule>, progress: Option<Kind>) -> Self {
        Kinds { rules, progress }
    }

    /// The rule of a kind.
    pub fn rule(&self, kind: Kind) -> &KindRule {
        self.rules.get(kind.index()).unwrap_or(&KindRule::COUNTED)
    }

    /// The rules, in the order of the kinds' numbers.
    pub fn rules(&self) -> &[KindRule] {
        &self.rules
    }

    /// Whether the kind's value is the part of the item that was watched.
    pub fn is_progress(&self, kind: Kind) -> bool {
        self.progress == Some(kind)
    }

    /// Whether events of the kind make an item trend.
    pub fn trends(&self, kind: Kind) -> bool {
        self.rule(kind).weight > 0
    }

    /// The same kinds with the weights of a model: weight, value, threshold and floor are the model's; what is
    /// seen or hidden stays.
    pub fn weighted_by(&self, model: &[KindRule]) -> Kinds {
        let weigh = |(own, weights): (&KindRule, &KindRule)| KindRule {
            seen: own.seen,
            hides: own.hides,
            ..*weights
        };
        Kinds { rules: self.rules.iter().zip(model).map(weigh).collect(), progress: self.progress }
    }

    /// The weight of one event for its item, in millionths.
    pub fn weight_of(&self, event: &Event) -> i64 {
        self.rule(event.kind()).weight_of(event.value)
    }
}
