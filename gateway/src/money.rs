//! Money as whole nano-dollars: what tokens cost, read from and written as decimals.
//!
//! Apart because sums of money are never floats: a price is a whole number of nano-dollars for a million tokens, a cost is one of
//! nano-dollars, rounded once. It must not know models or who is billed.

use std::fmt;
use std::str::FromStr;

use gatewright_types::Usage;

/// Digits behind the point of a dollar.
const DIGITS: u32 = 9;
const DOLLAR: u64 = 10u64.pow(DIGITS);
/// Tokens that a price is for.
const LOT: u128 = 1_000_000;

/// An amount: nano-dollars. Written as decimal dollars, `0.00137`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.0 / DOLLAR, self.0 % DOLLAR);
        if rest == 0 {
            return write!(f, "{dollars}");
        }
        let rest = format!("{rest:09}");
        write!(f, "{dollars}.{}", rest.trim_end_matches('0'))
    }
}

impl FromStr for Nanos {
    type Err = String;

    /// Reads decimal dollars, exactly: `15`, `0.55`, `5.5e-7`.
    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, 0).map(Self)
    }
}

/// Decimal dollars for one token as a price for a million.
///
/// # Errors
/// As for an amount.
pub fn a_token(text: &str) -> Result<Nanos, String> {
    scaled(text, 6).map(Nanos)
}

/// A decimal times a power of ten, in nanos. What does not come out even is refused.
fn scaled(text: &str, tens: i32) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not an amount of dollars with at most {DIGITS} digits behind the point");
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (whole, behind) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{behind}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let count = i32::try_from(behind.len()).map_err(|_| wrong())?;
    let shift =
        exponent.checked_add(tens).and_then(|sum| sum.checked_add(9)).and_then(|sum| sum.checked_sub(count)).ok_or_else(wrong)?;
    let significant = digits.trim_end_matches('0');
    let zeros = i32::try_from(digits.len() - significant.len()).map_err(|_| wrong())?;
    if significant.is_empty() {
        return Ok(0);
    }
    let shift = u32::try_from(shift.saturating_add(zeros)).map_err(|_| wrong())?;
    let number: u64 = significant.parse().map_err(|_| wrong())?;
    10u64.checked_pow(shift).and_then(|power| number.checked_mul(power)).ok_or_else(wrong)
}

/// What a million tokens cost of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of the prompt.
    pub input: Nanos,
    /// Of the prompt's, read from the upstream's own prompt cache.
    pub cached: Nanos,
    /// Of the prompt's, written into that cache.
    pub written: Nanos,
    /// The same, to last longer than is usual there.
    pub written_long: Nanos,
    /// Generated, thought included.
    pub output: Nanos,
}

/// What a model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// As a rule.
    pub rates: Rates,
    /// For all tokens of a request whose prompt has more tokens than this.
    pub long: Option<(u64, Rates)>,
}

impl Price {
    /// The same, however long the prompt is.
    pub const fn flat(rates: Rates) -> Self {
        Self { rates, long: None }
    }

    /// What that many tokens cost, rounded to the nearest nano-dollar.
    pub fn of(&self, usage: &Usage) -> Nanos {
        let rates = self.long.filter(|(above, _)| usage.prompt > *above).map_or(self.rates, |(_, rates)| rates);
        let cached = usage.cached.unwrap_or_default().min(usage.prompt);
        let written = usage.cache_written.unwrap_or_default().min(usage.prompt - cached);
        let long = usage.cache_written_long.unwrap_or_default().min(written);
        let cost = |tokens: u64, rate: Nanos| u128::from(tokens) * u128::from(rate.0);
        let sum = cost(usage.prompt - cached - written, rates.input)
            .saturating_add(cost(cached, rates.cached))
            .saturating_add(cost(written - long, rates.written))
            .saturating_add(cost(long, rates.written_long))
            .saturating_add(cost(usage.completion, rates.output));
        Nanos(u64::try_from(sum.saturating_add(LOT / 2) / LOT).unwrap_or(u64::MAX))
    }

    /// For putting models in order: what a prompt and an answer of one million tokens each cost.
    pub fn rank(&self) -> u64 {
        self.rates.input.0.saturating_add(self.rates.output.0)
    }
}

/// What a request has cost so far. It is known only while all that was used has a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    nanos: u64,
    items: u32,
    unpriced: bool,
}

impl Bill {
    /// One more item; `None` where nobody knows what it cost.
    pub fn add(&mut self, cost: Option<Nanos>) {
        self.items = self.items.saturating_add(1);
        match cost {
            Some(Nanos(nanos)) => self.nanos = self.nanos.saturating_add(nanos),
            None => self.unpriced = true,
        }
    }

    /// The sum, if it is known.
    pub fn total(&self) -> Option<Nanos> {
        (self.items > 0 && !self.unpriced).then_some(Nanos(self.nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Nanos {
        text.parse().unwrap()
    }

    fn rates(input: &str, cached: &str, output: &str) -> Rates {
        let [input, cached, output] = [input, cached, output].map(nanos);
        Rates { input, cached, written: input, written_long: input, output }
    }

    #[test]
    fn decimals_are_read_exactly_and_written_back() {
        for text in ["0", "15", "0.55", "2.19", "0.000000001", "18446744073.709551615", "0.0042"] {
            assert_eq!(nanos(text).to_string(), text);
        }
        assert_eq!((nanos("5.5e-1"), nanos("1.50"), nanos("2E1")), (nanos("0.55"), nanos("1.5"), nanos("20")));
        assert_eq!(a_token("5.5e-07").unwrap(), nanos("0.55"));
        assert_eq!(a_token("0.0000004").unwrap(), nanos("0.4"));
        for wrong in ["", ".", "-1", "1,5", "$1", "0.0000000001", "18446744074", "1e99", "1e-99", "NaN", "1e99999999999"] {
            assert!(wrong.parse::<Nanos>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cost_counts_each_kind_once_and_is_rounded_once() {
        let r1 = Price::flat(rates("0.55", "0.14", "2.19"));
        let usage =
            Usage { prompt: 1_000_000, completion: 1_000_000, cached: Some(400_000), reasoning: Some(900_000), ..Usage::default() };
        assert_eq!(r1.of(&usage), nanos("2.576"));
        let one = Usage { prompt: 1, ..Usage::default() };
        assert_eq!(Price::flat(rates("0.0014", "0", "0")).of(&one), Nanos(1));
        assert_eq!(Price::flat(rates("0.0016", "0", "0")).of(&one), Nanos(2));
        // A cache that holds more than the prompt is the upstream's mistake, not a gain.
        let odd = Usage { prompt: 10, cached: Some(99), ..Usage::default() };
        assert_eq!(r1.of(&odd), Nanos(1400));
        let absurd = Usage { prompt: u64::MAX, completion: u64::MAX, ..Usage::default() };
        assert_eq!(Price::flat(rates("15", "15", "60")).of(&absurd), Nanos(u64::MAX));
    }

    #[test]
    fn what_is_written_into_a_prompt_cache_has_its_own_rate() {
        let price = Price::flat(Rates { written: nanos("3.75"), ..rates("3", "0.3", "15") });
        let usage = Usage { prompt: 1_000_000, cached: Some(500_000), cache_written: Some(200_000), ..Usage::default() };
        assert_eq!(price.of(&usage), nanos("1.8"), "0.9 + 0.15 + 0.75");
        let odd = Usage { prompt: 10, cached: Some(4), cache_written: Some(99), ..Usage::default() };
        assert_eq!(price.of(&odd), Nanos(4 * 300 + 6 * 3750));
    }

    #[test]
    fn what_is_written_to_last_longer_costs_more_and_is_counted_once() {
        let price = Price::flat(Rates { written: nanos("3.75"), written_long: nanos("6"), ..rates("3", "0.3", "15") });
        let mut usage = Usage { prompt: 1_000_000, cache_written: Some(700_000), ..Usage::default() };
        usage.cache_written_long = Some(200_000);
        assert_eq!(price.of(&usage), nanos("3.975"), "0.9 + 1.875 + 1.2");
        usage.cache_written_long = Some(u64::MAX);
        assert_eq!(price.of(&usage), nanos("5.1"), "no more of it than was written");
    }

    #[test]
    fn a_long_prompt_has_its_own_rates() {
        let price = Price { rates: rates("1", "0.1", "10"), long: Some((200_000, rates("2", "0.2", "15"))) };
        let usage = |prompt| Usage { prompt, completion: 1_000_000, ..Usage::default() };
        assert_eq!(price.of(&usage(200_000)), nanos("10.2"));
        assert_eq!(price.of(&usage(200_001)), nanos("15.400002"));
    }

    #[test]
    fn a_bill_with_an_item_that_nobody_knows_the_price_of_has_no_sum() {
        let mut bill = Bill::default();
        assert_eq!(bill.total(), None);
        bill.add(Some(Nanos(3)));
        bill.add(Some(Nanos(4)));
        assert_eq!(bill.total(), Some(Nanos(7)));
        bill.add(None);
        assert_eq!(bill.total(), None);
    }
}
