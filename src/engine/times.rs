//! How long each operator of the graph works, from timely's own log: the graph itself reads no clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

use super::observer::Observer;

/// Tells an observer how long a worker's operators work. Before the graph is built, whose operators introduce themselves.
pub(super) fn observe(worker: &Worker, observer: Arc<dyn Observer>) {
    let Some(mut register) = worker.log_register() else { return };
    let mut operators = Operators::default();
    register.insert::<TimelyEventBuilder, _>("timely", move |_, events| match events {
        Some(events) => events.drain(..).for_each(|(at, event)| operators.take(at, event)),
        None => operators.tell(&*observer),
    });
}

/// The operators of a graph, and what they did since it was told last.
#[derive(Default)]
struct Operators {
    names: HashMap<usize, Arc<str>>,
    began: HashMap<usize, Duration>,
    worked: BTreeMap<Arc<str>, Duration>,
}

/// How long the address of an operator is that is no part of another one.
const WHOLE: usize = 2;

impl Operators {
    fn take(&mut self, at: Duration, event: TimelyEvent) {
        match event {
            TimelyEvent::Operates(operator) if operator.addr.len() == WHOLE => {
                self.names.insert(operator.id, operator.name.into());
            }
            TimelyEvent::Schedule(event) => match event.start_stop {
                StartStop::Start => {
                    self.began.insert(event.id, at);
                }
                StartStop::Stop => {
                    let began = self.began.remove(&event.id);
                    if let (Some(name), Some(began)) = (self.names.get(&event.id), began) {
                        *self.worked.entry(name.clone()).or_default() += at.saturating_sub(began);
                    }
                }
            },
            _ => {}
        }
    }

    fn tell(&mut self, observer: &dyn Observer) {
        for (name, worked) in &mut self.worked {
            if !worked.is_zero() {
                observer.worked(name, std::mem::take(worked));
            }
        }
    }
}
