//! Which lines of a file are this process's, where several processes read it.
//!
//! A file is shared out in pieces of a mebibyte, after decompression, in turn; a line is of the piece that it begins in. So
//! every line is read by one process, however the file grows and wherever reading began, and nobody has to be asked.

use super::Rejected;
use super::cutter::{Cut, Place, row_length};
use crate::processes::{Share, hash};

/// The size of a piece, in bytes.
const PIECE: u64 = 1 << 20;

/// How a file is shared out.
#[derive(Debug, Clone, Copy)]
pub struct Sharing {
    share: Share,
    /// Which process has the first piece: small files are read by different ones.
    first: usize,
}

impl Sharing {
    /// Of a file, by its name without the folders: these may be others on another machine.
    pub fn of(share: Share, name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name);
        Sharing { share, first: hash(name) as usize % share.processes }
    }

    /// Whether a line that begins there is this process's.
    fn has(&self, offset: u64) -> bool {
        let turn = (offset / PIECE) as usize + self.first;
        turn % self.share.processes == self.share.process
    }

    /// From where on, at a place or beyond it, there may be lines that are this process's.
    pub fn next_own(&self, from: u64) -> u64 {
        let pieces = (from / PIECE..).take(self.share.processes);
        let own = pieces.map(|piece| piece * PIECE).find(|start| self.has(*start));
        own.map_or(from, |start| start.max(from))
    }

    /// Whether a file that cannot be shared out is this process's.
    pub fn has_whole(&self) -> bool {
        self.has(0)
    }

    /// What of a block is this process's, in order; the last is led by what could not be taken.
    pub fn own(&self, cut: Cut, quoting: Option<u8>) -> Vec<Cut> {
        if !self.share.is_of_several() {
            return vec![cut];
        }
        let Cut { bytes, place, mut rejected, whole } = cut;
        rejected.retain(|line: &Rejected| self.has(line.offset));
        let mut own: Vec<Cut> = Vec::new();
        let (mut start, mut lines) = (0, place.lines);
        while start < bytes.len() {
            let at = place.bytes + start as u64;
            let end = next_piece(&bytes, start, (at / PIECE + 1) * PIECE - place.bytes, quoting);
            let piece = &bytes[start..end];
            if self.has(at) {
                let place = Place { bytes: at, lines };
                own.push(Cut { bytes: piece.to_vec(), place, rejected: Vec::new(), whole });
            }
            lines += memchr::memchr_iter(b'\n', piece).count() as u64;
            start = end;
        }
        if !rejected.is_empty() {
            match own.last_mut() {
                Some(last) => last.rejected = rejected,
                None => own.push(Cut { bytes: Vec::new(), place: whole, rejected, whole }),
            }
        }
        own
    }
}

/// Where the first line begins that is at `boundary` or beyond it; the end where none does.
fn next_piece(bytes: &[u8], start: usize, boundary: u64, quoting: Option<u8>) -> usize {
    let Some(boundary) = usize::try_from(boundary).ok().filter(|boundary| *boundary < bytes.len()) else {
        return bytes.len();
    };
    if quoting.is_none() {
        return memchr::memchr(b'\n', &bytes[boundary - 1..]).map_or(bytes.len(), |at| boundary + at);
    }
    let mut end = start;
    while end < boundary {
        match row_length(&bytes[end..], quoting) {
            Some(length) => end += length,
            None => return bytes.len(),
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cutter::Cutter;
    use super::*;

    /// All that a process takes of a log that is cut at some places: where each line begins, its number, and itself.
    fn taken(log: &[u8], reads: &[usize], quoting: Option<u8>, share: Share) -> Vec<(u64, u64, Vec<u8>)> {
        let sharing = Sharing::of(share, "/some/where/log.csv");
        let mut cutter = Cutter::new(Place::default());
        cutter.set_quoting(quoting);
        let (mut at, mut reads, mut taken) = (0, reads.iter().cycle(), Vec::new());
        while at < log.len() {
            let end = log.len().min(at + reads.next().unwrap());
            cutter.buffer.extend_from_slice(&log[at..end]);
            at = end;
            while let Some(cut) = cutter.cut(at == log.len()) {
                for piece in sharing.own(cut, quoting) {
                    let (mut start, mut line) = (0, piece.place.lines);
                    while start < piece.bytes.len() {
                        let rest = &piece.bytes[start..];
                        let length = row_length(rest, quoting).unwrap_or(rest.len());
                        taken.push((piece.place.bytes + start as u64, line, rest[..length].to_vec()));
                        line += memchr::memchr_iter(b'\n', &rest[..length]).count() as u64;
                        start += length;
                    }
                }
            }
        }
        taken
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_line_is_taken_by_one_process_wherever_the_log_is_cut(
            lines in prop::collection::vec((1..120_000_usize, any::<bool>()), 20..60),
            reads in prop::collection::vec(100_000..3_000_000_usize, 1..4),
            processes in 2..4_usize,
            quoted in any::<bool>(),
        ) {
            let quoting = quoted.then_some(b',');
            let mut log = Vec::new();
            for (length, twice) in lines {
                let text = "x".repeat(length);
                // A row that goes over two lines, where that may be.
                let row = if quoted && twice { format!("\"{text}\n{text}\",1\n") } else { format!("{text},1\n") };
                log.extend_from_slice(row.as_bytes());
            }
            let whole = taken(&log, &[log.len()], quoting, Share::WHOLE);
            let mut all: Vec<_> = (0..processes)
                .flat_map(|process| taken(&log, &reads, quoting, Share { process, processes }))
                .collect();
            all.sort();
            prop_assert_eq!(all.len(), whole.len());
            prop_assert!(all == whole);
        }
    }

    #[test]
    fn small_files_are_read_by_different_processes() {
        let has = |name: &str, process| Sharing::of(Share { process, processes: 2 }, name).has_whole();
        let names = ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"];
        assert!(names.iter().all(|name| has(name, 0) != has(name, 1)));
        assert!(names.iter().any(|name| has(name, 0)) && names.iter().any(|name| has(name, 1)));
        assert_eq!(has("/here/a.jsonl", 0), has("/there/a.jsonl", 0));
    }
}
