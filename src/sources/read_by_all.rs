//! How far a pipeline has read a source, from what each of its processes says: for one of another number of processes.

use super::sharing::Sharing;
use super::{LogOffset, Offset};
use crate::processes::Share;

/// How far all processes together have read a source, from what the store of each says, by process: the offset of one of
/// them, before which nothing is unread. None where there is no such place, and the source is to be read from its beginning.
pub fn read_by_all(name: &str, offsets: &[Option<Offset>]) -> Option<usize> {
    let known =
        || offsets.iter().enumerate().filter_map(|(process, offset)| Some((process, offset.as_ref()?)));
    // A partition is read by one process; others may know where it was when the number of processes changed.
    if known().any(|(_, offset)| matches!(offset, Offset::Partition(_))) {
        return known().min_by_key(|(_, offset)| offset.read()).map(|(process, _)| process);
    }
    let logs = || known().filter_map(|(process, offset)| Some((process, offset.clone().log()?)));
    let (_, first) = logs().next()?;
    // Files of one name on several machines are not one file.
    let other =
        |log: &LogOffset| log.map != first.map || (log.head.0 == first.head.0 && log.head.1 != first.head.1);
    if logs().any(|(_, log)| other(&log)) {
        return None;
    }
    // Of a file each has read its own pieces up to its offset; who has none there says nothing of them.
    let unread = offsets.iter().enumerate().map(|(process, offset)| {
        let share = Share { process, processes: offsets.len() };
        Sharing::of(share, name).next_own(offset.as_ref().map_or(0, Offset::read))
    });
    let unread = if offsets.len() == 1 { u64::MAX } else { unread.min()? };
    logs().filter(|(_, log)| log.bytes <= unread).max_by_key(|(_, log)| log.bytes).map(|(process, _)| process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::PartitionOffset;

    const MIB: u64 = 1 << 20;

    fn log(bytes: u64, head: &str) -> Option<Offset> {
        let (map, tail) = (String::new(), (0, String::new()));
        Some(Offset::Log(LogOffset { bytes, lines: 0, size: None, head: (4, head.to_owned()), tail, map }))
    }

    fn partition(next: u64) -> Option<Offset> {
        let (last, brokers) = (String::new(), String::new());
        Some(Offset::Partition(PartitionOffset { next, last, resets: 0, brokers }))
    }

    #[test]
    fn a_file_is_read_up_to_where_nobody_has_left_a_piece_out() {
        // Of two processes; which has the first piece follows from the name.
        let names: Vec<String> = (0..).map(|number| format!("/a/{number}.jsonl")).take(20).collect();
        let begins = |process: usize| {
            let has = |name: &&String| crate::processes::hash(&name[3..]) as usize % 2 == process;
            names.iter().find(has).unwrap().as_str()
        };
        let (first, second) = (begins(0), begins(1));
        for (name, offsets, read) in [
            // A small file is one process's.
            (first, [log(900, "h"), None], Some(0)),
            // Where that is the other one, what the first knows is nothing of the file's first piece.
            (second, [log(900, "h"), None], None),
            (first, [log(3 * MIB / 2, "h"), None], None),
            (first, [log(MIB, "h"), None], Some(0)),
            (first, [log(3 * MIB, "h"), log(2 * MIB, "h")], Some(0)),
            (first, [log(3 * MIB, "h"), log(MIB + 7, "h")], Some(1)),
            (first, [log(MIB / 2, "h"), log(2 * MIB, "h")], Some(0)),
            (first, [None, log(2 * MIB, "h")], None),
            // Two files of one name, and one that both have as it was.
            (first, [log(MIB, "h"), log(MIB, "other")], None),
            (second, [log(5 * MIB, "h"), log(5 * MIB, "h")], Some(1)),
        ] {
            assert_eq!(read_by_all(name, &offsets), read, "{name} {offsets:?}");
        }
        assert_eq!(read_by_all(second, &[log(7 * MIB, "h")]), Some(0));
        assert_eq!(read_by_all(first, &[None, None]), None);
    }

    #[test]
    fn a_partition_is_read_up_to_the_least_that_any_process_knows() {
        assert_eq!(read_by_all("kafka://C/T/0", &[partition(7), None, partition(5)]), Some(2));
        assert_eq!(read_by_all("kafka://C/T/0", &[None, partition(5)]), Some(1));
    }
}
