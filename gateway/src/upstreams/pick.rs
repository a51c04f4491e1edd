//! In which order a route's legs are asked: as written, by lot, by load, by speed or by price.
//!
//! Apart because it only orders; who tries them is `dispatch`. What it goes by is kept beside each leg (`state`). It must not know
//! requests, nor draw lots by itself: the draw is handed in.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use serde::Deserialize;

use super::dispatch::Leg;
use super::state::LegState;
use crate::money::Price;

/// Which leg of a route comes first. Fallbacks follow in their order, whatever the strategy. The words are the configuration's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// As they are written.
    #[default]
    Ordered,
    /// By lot, by their shares.
    Weighted,
    /// Fewest requests in flight.
    LeastBusy,
    /// Fastest to begin, lately.
    LeastLatency,
    /// Cheapest; the operator's own machines cost nothing without a price, and others without one come last.
    LeastCost,
}

impl Strategy {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Weighted => "weighted",
            Self::LeastBusy => "least_busy",
            Self::LeastLatency => "least_latency",
            Self::LeastCost => "least_cost",
        }
    }
}

/// What an order goes by.
#[derive(Clone, Debug)]
pub struct Merits {
    /// What its model costs.
    pub price: Option<Price>,
    /// Whether it is the operator's own machine.
    pub own: bool,
    /// Its share among the legs.
    pub weight: u32,
    /// Whether it comes after all that are no fallbacks.
    pub fallback: bool,
    /// Whether it is asked only after another one said that the request is too long for it.
    pub for_long: bool,
    /// How it fares; all legs of the same model share it.
    pub state: Arc<LegState>,
}

impl Default for Merits {
    fn default() -> Self {
        Self { price: None, own: false, weight: 1, fallback: false, for_long: false, state: Arc::default() }
    }
}

impl Merits {
    /// What counts as its cost: the operator's own machine costs nothing where no price says otherwise, and of another one without a price
    /// nobody knows.
    fn cost(&self) -> u64 {
        let unpriced = if self.own { 0 } else { u64::MAX };
        self.price.map_or(unpriced, |price| price.rank())
    }
}

/// What decides between equals.
#[derive(Clone, Copy, Debug)]
pub enum Lot<'a> {
    /// This number, new for each request.
    Drawn(u64),
    /// The conversation: the same one has the same order as long as the legs are the same.
    Of(&'a str),
}

/// Of so many requests one looks for the fastest leg by lot: a leg that was slow once is not slow for good.
const LOOKS: u64 = 16;

/// The legs in the order in which they are to be asked.
pub fn order<'a>(legs: &'a [Leg], strategy: Strategy, lot: Lot<'_>) -> Cow<'a, [Leg]> {
    let strategy = match (strategy, lot) {
        (Strategy::LeastLatency, Lot::Drawn(number)) if number % LOOKS == 0 => Strategy::Weighted,
        (strategy, _) => strategy,
    };
    if legs.len() < 2 || strategy == Strategy::Ordered {
        return Cow::Borrowed(legs);
    }
    let (mut first, fallbacks): (Vec<Leg>, Vec<Leg>) = legs.iter().cloned().partition(|leg| !leg.merits.fallback);
    match strategy {
        Strategy::Ordered => {}
        Strategy::Weighted => first.sort_by_cached_key(|leg| rank(leg, lot)),
        Strategy::LeastBusy => first.sort_by_cached_key(|leg| (leg.merits.state.in_flight(), rank(leg, lot))),
        Strategy::LeastLatency => {
            // One of which nothing is known is asked first: then something is.
            first.sort_by_cached_key(|leg| (leg.merits.state.latency_us(), rank(leg, lot)));
        }
        Strategy::LeastCost => first.sort_by_key(|leg| leg.merits.cost()),
    }
    first.extend(fallbacks);
    Cow::Owned(first)
}

/// The same, with this leg first. A fallback, and one without a share, is not asked before others because it was once.
pub fn first<'a>(legs: Cow<'a, [Leg]>, name: &str) -> Cow<'a, [Leg]> {
    let is_it = |leg: &Leg| leg.name == name && !leg.merits.fallback && leg.merits.weight > 0;
    match legs.iter().position(is_it) {
        None | Some(0) => legs,
        Some(at) => {
            let mut legs = legs.into_owned();
            legs[..=at].rotate_right(1);
            Cow::Owned(legs)
        }
    }
}

/// A leg's place in a draw by shares, the least first: each leg draws a number, and the larger its share, the likelier a small one.
fn rank(leg: &Leg, lot: Lot<'_>) -> (Reverse<bool>, u64) {
    let mut hasher = blake3::Hasher::new();
    match lot {
        Lot::Drawn(number) => hasher.update(&number.to_le_bytes()),
        Lot::Of(conversation) => hasher.update(conversation.as_bytes()),
    };
    let digest = hasher.update(&[0]).update(leg.name.as_bytes()).finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    // |ln u| / weight is the time until a clock of that rate rings first: exact shares.
    let drawn = (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64;
    let time = (1.0 - drawn).ln().abs() / f64::from(leg.merits.weight.max(1));
    (Reverse(leg.merits.weight > 0), time.to_bits())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use gatewright_types::ChatRequest;

    use super::*;
    use crate::config::facts::BreakerFact;
    use crate::money::{Nanos, Rates};
    use crate::upstreams::{Deadline, Deltas, Upstream};

    struct Silent;

    impl Upstream for Silent {
        fn name(&self) -> &str {
            "silent"
        }

        fn answer(&self, _: Arc<ChatRequest>, _: Deadline) -> Deltas {
            Box::pin(futures_util::stream::empty())
        }
    }

    fn leg(name: &str, merits: Merits) -> Leg {
        let (name, model, upstream) = (name.to_owned(), name.to_owned(), Arc::new(Silent));
        Leg { name, upstream, model, attempts: 1, timeouts: None, merits, place: [0; 32], when: None }
    }

    fn names(legs: &[Leg]) -> Vec<&str> {
        legs.iter().map(|leg| leg.name.as_str()).collect()
    }

    fn weighted(shares: &[(&str, u32)]) -> Vec<Leg> {
        shares.iter().map(|(name, weight)| leg(name, Merits { weight: *weight, ..Merits::default() })).collect()
    }

    fn fallback(name: &str) -> Leg {
        leg(name, Merits { fallback: true, ..Merits::default() })
    }

    #[test]
    fn shares_are_kept_and_a_leg_without_one_comes_last() {
        let legs = [weighted(&[("a", 90), ("b", 10), ("c", 0)]), vec![fallback("y"), fallback("x")]].concat();
        let mut first = BTreeMap::new();
        for number in 0..10_000 {
            let ordered = order(&legs, Strategy::Weighted, Lot::Drawn(number));
            assert_eq!(names(&ordered)[2..], ["c", "y", "x"]);
            *first.entry(ordered[0].name.clone()).or_insert(0) += 1;
        }
        assert!((8_800..9_200).contains(&first["a"]) && !first.contains_key("c"), "{first:?}");
    }

    #[test]
    fn a_conversation_keeps_its_leg_whatever_the_others_do() {
        let legs = weighted(&[("a", 1), ("b", 1), ("c", 1)]);
        let mut seen = BTreeMap::new();
        for conversation in (0..300).map(|n| format!("c{n}")) {
            let lot = Lot::Of(&conversation);
            let busy = legs[0].merits.state.ask(&BreakerFact::DEFAULT, Instant::now());
            let [now, again] = [&legs, &[fallback("z"), legs[2].clone(), legs[0].clone(), legs[1].clone()][..]]
                .map(|legs| order(legs, Strategy::Weighted, lot)[0].name.clone());
            assert!(now == again && busy.is_ok());
            // A leg that goes takes only its own conversations along.
            let rest: Vec<Leg> = legs.iter().filter(|leg| leg.name != "c").cloned().collect();
            assert!(now == "c" || order(&rest, Strategy::Weighted, lot)[0].name == now);
            *seen.entry(now).or_insert(0) += 1;
        }
        assert!(seen.len() == 3 && seen.values().all(|count| *count > 50), "{seen:?}");
    }

    #[test]
    fn the_leg_of_a_conversation_comes_first_where_it_stands_among_equals() {
        let legs = [weighted(&[("a", 1), ("b", 1), ("c", 0)]), vec![fallback("z")]].concat();
        for (leg, order) in [("b", ["b", "a", "c", "z"]), ("a", ["a", "b", "c", "z"])] {
            assert_eq!(names(&first(Cow::Borrowed(&legs), leg)), order);
        }
        for leg in ["c", "z", "gone"] {
            assert_eq!(names(&first(Cow::Borrowed(&legs), leg)), ["a", "b", "c", "z"]);
        }
    }

    #[test]
    fn the_least_busy_the_fastest_and_the_cheapest_come_first() {
        let price = |dollars: u64| {
            let rate = Nanos(dollars);
            Some(Price::flat(Rates { input: rate, cached: Nanos(0), written: rate, written_long: rate, output: rate }))
        };
        let legs = [
            leg("a", Merits { price: price(5), ..Merits::default() }),
            leg("b", Merits { price: price(3), ..Merits::default() }),
            leg("c", Merits::default()),
            fallback("z"),
        ];
        assert_eq!(names(&order(&legs, Strategy::LeastCost, Lot::Drawn(1))), ["b", "a", "c", "z"]);
        let own = [legs[0].clone(), leg("o", Merits { own: true, ..Merits::default() }), legs[2].clone()];
        assert_eq!(names(&order(&own, Strategy::LeastCost, Lot::Drawn(1))), ["o", "a", "c"]);
        let dear = [leg("o", Merits { own: true, price: price(9), ..Merits::default() }), legs[0].clone()];
        assert_eq!(names(&order(&dear, Strategy::LeastCost, Lot::Drawn(1))), ["a", "o"]);
        let busy = [0, 0, 2].map(|at| legs[at].merits.state.ask(&BreakerFact::DEFAULT, Instant::now()).unwrap());
        assert_eq!(names(&order(&legs, Strategy::LeastBusy, Lot::Drawn(1))), ["b", "c", "a", "z"]);
        drop(busy);
        assert_eq!(legs[0].merits.state.in_flight(), 0);
        for (at, millis) in [(0, 300), (1, 200), (2, 100)] {
            legs[at].merits.state.spoke(Duration::from_millis(millis));
        }
        assert_eq!(names(&order(&legs, Strategy::LeastLatency, Lot::Drawn(1))), ["c", "b", "a", "z"]);
        legs[2].merits.state.failed();
        assert_eq!(names(&order(&legs, Strategy::LeastLatency, Lot::Drawn(1))), ["b", "a", "c", "z"]);
        assert_eq!(names(&order(&legs, Strategy::Ordered, Lot::Drawn(1))), ["a", "b", "c", "z"]);
    }
}
