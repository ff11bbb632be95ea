//! A pipeline of several processes: who they are, and what of the pipeline each of them has.
//!
//! Members are shared out by a fixed hash of their ids, items (with what is counted by them) likewise. Each process has a
//! store of its own; what all of them need is in every store: the catalogue, *now* and `trending`.

mod hosts;
pub mod parts;
mod placement;
pub mod reading;
pub mod reshard;

pub use hosts::{Hosts, HostsError};
pub use placement::Placement;

/// Which of the processes of a pipeline this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// Its number, from 0 on.
    pub process: usize,
    /// How many there are.
    pub processes: usize,
}

impl Share {
    /// A pipeline of one process.
    pub const WHOLE: Share = Share { process: 0, processes: 1 };

    /// Whether there are others.
    pub fn is_of_several(self) -> bool {
        self.processes > 1
    }

    /// Which process has a member, by the member's id; or an item's counts, by the item's.
    pub fn owner(self, id: &str) -> usize {
        hash(id) as usize % self.processes
    }

    /// Whether this process reads a partition of a topic.
    pub fn reads(self, topic: &str, partition: i32) -> bool {
        (hash(topic) as usize + partition.max(0) as usize) % self.processes == self.process
    }

    /// Whether this process has it.
    pub fn owns(self, id: &str) -> bool {
        self.owner(id) == self.process
    }
}

/// The fixed hash of an external id, which the graph shares out by too. Another one would be another format.
pub fn hash(id: &str) -> u32 {
    nearline_dataflows::spread::hash(id.as_bytes())
}

/// What a store of a pipeline of several processes says of itself: `meta`'s `part`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// The pipeline: 32 hexadecimal digits that its stores have in common.
    pub pipeline: String,
    /// What this store has.
    #[serde(flatten)]
    pub share: Share,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_one_owner_which_never_changes() {
        let share = |process| Share { process, processes: 3 };
        for id in ["m1", "m2", "m3", "", "Ω"] {
            assert_eq!((0..3).filter(|process| share(*process).owns(id)).count(), 1, "{id}");
            assert!(Share::WHOLE.owns(id));
        }
        // Stores lie on disks by these.
        assert_eq!((hash(""), hash("m1"), hash("Ω")), (0x811c_9dc5, 0x942e_6feb, 0x1aaa_ae68));
    }

    #[test]
    fn a_part_reads_back_what_was_written() {
        let part = Part { pipeline: "0f".repeat(16), share: Share { process: 1, processes: 3 } };
        let text = serde_json::to_string(&part).unwrap();
        assert_eq!(text, format!(r#"{{"pipeline":"{}","process":1,"processes":3}}"#, "0f".repeat(16)));
        assert_eq!(serde_json::from_str::<Part>(&text).unwrap(), part);
    }
}
