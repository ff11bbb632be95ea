//! A circuit breaker: what failed again and again is left alone for a while, so that nobody waits for it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// For so long it stays open; then one request tries again.
const REST: Duration = Duration::from_secs(1);

/// A breaker, closed at first.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Until when nothing is tried.
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether to try. Where it has rested long enough, one is let through, and the others after that one succeeded.
    pub fn lets_through(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.open_until = Some(now + REST);
                true
            }
        }
    }

    /// Whether it lets everybody through.
    pub fn is_closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open_until.is_none()
    }

    /// It was tried and did well.
    pub fn succeeded(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// It was tried and failed, or came too late.
    pub fn failed(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        if state.failures >= FAILURES {
            state.open_until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_lets_one_try_and_closes_when_that_one_succeeds() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES - 1 {
            breaker.failed(start);
        }
        breaker.succeeded();
        for _ in 0..FAILURES {
            assert!(breaker.lets_through(start));
            breaker.failed(start);
        }
        assert!(!breaker.lets_through(start));
        let later = start + REST;
        assert!(breaker.lets_through(later), "one tries");
        assert!(!breaker.lets_through(later), "and no other meanwhile");
        breaker.succeeded();
        assert!(breaker.lets_through(later));
    }
}
