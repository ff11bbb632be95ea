//! What happens today to two members, told so that a person can watch the lists follow.

use super::people::Watcher;
use super::titles::{FAMILY, SCIENCE_FICTION};
use super::{Event, Shelves, TODAY};

/// Two members' day. Both stories are part of today's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The place of a member who has watched crime and thrillers so far, and turns to family titles today.
    pub turned: usize,
    /// The place of a member of whom nothing is known before today, and who begins with science fiction.
    pub newcomer: usize,
    /// What the two do, in the order of time.
    pub events: Vec<Event>,
}

impl Story {
    pub(super) fn tell(shelves: &Shelves, members: &[Watcher]) -> Story {
        let (turned, newcomer) = (0, members.len() - 1);
        // Well-known titles, but not the best-known: those are in everybody's list anyway.
        let mut events = Vec::new();
        for (member, genre, hour, device) in
            [(turned, FAMILY, 15, "tablet"), (newcomer, SCIENCE_FICTION, 17, "tv")]
        {
            for (nth, item) in (0..).zip(shelves.by_genre[genre].iter().skip(1).take(5)) {
                let at = TODAY + hour * 3_600_000 + nth * 1_500_000;
                let play = Event {
                    member,
                    item: *item,
                    kind: "play",
                    hundredths: Some(if nth == 4 { 40 } else { 98 }),
                    at,
                    id: 0,
                    device,
                    position: None,
                };
                events.push(play.clone());
                if nth % 2 == 1 {
                    events.push(Event { kind: "like", hundredths: None, at: at + 1_400_000, ..play });
                }
            }
        }
        events.sort_by_key(|event| event.at);
        Story { turned, newcomer, events }
    }

    /// The same story with its events as they stand among all of them, with their ids.
    pub(super) fn found_in(self, events: &[Event]) -> Story {
        let today = events.iter().filter(|event| event.at >= TODAY);
        let told = today.filter(|event| event.member == self.turned || event.member == self.newcomer);
        Story { events: told.cloned().collect(), ..self }
    }
}
