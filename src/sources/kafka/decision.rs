//! Where a partition is read on, from what was read of it and what there is of it.

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The first offset to fetch.
    pub from: i64,
    /// Whether the first message should be the one that was read last, by which the topic is recognised.
    pub check: bool,
    /// Why reading does not go on where it was.
    pub reset: Option<Reset>,
}

/// Why reading does not go on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Fewer messages are there than were read.
    Shrunk {
        /// Where it would have gone on.
        next: i64,
        /// The offset behind the newest message.
        high: i64,
    },
    /// Messages that were to be read are deleted.
    Lost {
        /// The first of them.
        next: i64,
        /// The oldest that is left.
        low: i64,
    },
    /// At the offset that was read last there is another message.
    Other {
        /// Where it would have gone on.
        next: i64,
    },
}

impl std::fmt::Display for Reset {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reset::Shrunk { next, high } => write!(
                out,
                "it ends at {high}, and was read up to {next}: the topic was truncated or made anew; it is read from \
                 its beginning"
            ),
            Reset::Lost { next, low } => write!(
                out,
                "its messages from {next} to {} were deleted before they were read; it is read on from {low}",
                low - 1
            ),
            Reset::Other { next } => write!(
                out,
                "message {} is not the one that was read there: the topic was made anew; it is read from its beginning",
                next - 1
            ),
        }
    }
}

/// Where to go on behind what was read: `next` is the offset to be read next, `known` says whether the message before
/// it can be recognised, `low` and `high` are the oldest offset and the one behind the newest.
pub fn resume(next: i64, known: bool, low: i64, high: i64) -> Begin {
    if next > high {
        return Begin { from: low, check: false, reset: Some(Reset::Shrunk { next, high }) };
    }
    if next < low {
        return Begin { from: low, check: false, reset: Some(Reset::Lost { next, low }) };
    }
    let check = known && next > low;
    Begin { from: if check { next - 1 } else { next }, check, reset: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_where_it_was_and_looks_at_the_message_before() {
        assert_eq!(resume(5, true, 0, 9), Begin { from: 4, check: true, reset: None });
        assert_eq!(resume(9, true, 0, 9), Begin { from: 8, check: true, reset: None });
        assert_eq!(resume(5, false, 0, 9), Begin { from: 5, check: false, reset: None });
    }

    #[test]
    fn where_the_message_before_is_deleted_there_is_nothing_to_look_at() {
        assert_eq!(resume(5, true, 5, 9), Begin { from: 5, check: false, reset: None });
        assert_eq!(resume(0, false, 0, 0), Begin { from: 0, check: false, reset: None });
    }

    #[test]
    fn a_topic_that_is_shorter_is_read_from_its_beginning_and_deleted_messages_are_passed_over() {
        assert_eq!(resume(5, true, 0, 4).reset, Some(Reset::Shrunk { next: 5, high: 4 }));
        assert_eq!(resume(5, true, 2, 4).from, 2);
        assert_eq!(
            resume(5, true, 7, 9),
            Begin { from: 7, check: false, reset: Some(Reset::Lost { next: 5, low: 7 }) }
        );
    }
}
