//! Keyed digests: what events, their ids and members are recognised by without their names.
//!
//! The key is the data folder's own (docs/formats.md, "Digests"). Without it a digest tells nothing; with it
//! one could test whether a known id was a member.

use crate::records::{self, Event, Record};

/// The key of a data folder.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        DigestKey(bytes)
    }

    /// The key's bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest of an event, from the normal form of the event or of its retraction: the two differ in the
    /// first byte alone, which is left out.
    pub fn event(&self, normal: &[u8]) -> [u64; 2] {
        let hash = blake3::keyed_hash(&self.0, &normal[1..]);
        let half = |range: std::ops::Range<usize>| {
            u64::from_be_bytes(hash.as_bytes()[range].try_into().expect("eight bytes"))
        };
        [half(0..8), half(8..16)]
    }

    /// The same from the event.
    pub fn event_of(&self, event: &Event<'_>) -> [u64; 2] {
        let mut normal = Vec::with_capacity(128);
        records::encode(&Record::Event(*event), &mut normal);
        self.event(&normal)
    }

    /// The digest of an event's own id; never 0, which stands for no id.
    pub fn id(&self, member: &str, id: &str) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher
            .update(b"id")
            .update(&[(member.len() - 1) as u8])
            .update(member.as_bytes())
            .update(id.as_bytes());
        let digest = hasher.finalize();
        u64::from_be_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes")).max(1)
    }

    /// The digest of a member's id.
    pub fn member(&self, member: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"member").update(member.as_bytes());
        hasher.finalize().as_bytes()[..16].try_into().expect("sixteen bytes")
    }

    /// Tells keys apart without telling them.
    pub fn fingerprint(&self) -> String {
        blake3::keyed_hash(&self.0, b"fingerprint").to_hex()[..16].to_owned()
    }
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from what [`to_hex`] made of them; what is no digit is passed over.
pub fn of_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The bytes of hexadecimal digits.
pub fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (text.len() == 2 * N && text.is_ascii()).then_some(())?;
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}
