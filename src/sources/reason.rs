//! Why a line could not be taken: one word for each reason, which rejected lines are counted by.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why a line could not be taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The word that stands in `rejected.jsonl`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// A line of 1 MiB or more.
    TooLong = "too-long",
    /// Bytes that are not UTF-8.
    NotUtf8 = "not-utf8",
    /// A line that is not JSON.
    NotJson = "not-json",
    /// NaN or an infinity.
    NotANumber = "not-a-number",
    /// JSON, but not an object.
    NotAnObject = "not-an-object",
    /// A field whose value has another type than it must.
    WrongType = "wrong-type",
    /// A field that no record, or no record of this type, has.
    UnknownField = "unknown-field",
    /// A field that the record must have.
    MissingField = "missing-field",
    /// A field, or a key of the context, that is given twice.
    DuplicateField = "duplicate-field",
    /// A `type` that is none.
    UnknownType = "unknown-type",
    /// An id of no bytes.
    EmptyId = "empty-id",
    /// An id of more than 256 bytes.
    IdTooLong = "id-too-long",
    /// An `at` that is no point in time.
    AtUnreadable = "at-unreadable",
    /// An `at` before 1970 or not before 2200.
    AtOutOfRange = "at-out-of-range",
    /// An event too far past the clock.
    AtAhead = "at-ahead",
    /// A value in a column that is no decimal.
    ValueUnreadable = "value-unreadable",
    /// A value beyond 10⁹.
    ValueOutOfRange = "value-out-of-range",
    /// A context that is not a flat object of texts and integers.
    ContextInvalid = "context-invalid",
    /// A context of more than 4 KiB.
    ContextTooLarge = "context-too-large",
    /// A row with fewer columns than the header, or than the map reads.
    TooFewColumns = "too-few-columns",
    /// A row with more columns than the header.
    TooManyColumns = "too-many-columns",
    /// A quotation mark that opens a column and is never closed.
    UnclosedQuote = "unclosed-quote",
    /// A message of a topic that holds nothing.
    NoPayload = "no-payload",
    /// A kind beyond the 65,536 that can be told apart.
    TooManyKinds = "too-many-kinds",
    /// A tombstone that cannot be taken over from an export.
    Tombstone = "tombstone",
    /// A key that cannot be taken over from an export.
    Key = "key",
}

/// What is said of a message that holds nothing.
pub const NO_PAYLOAD: &str = "the message holds no record: it is empty, or the tombstone of a compacted topic; \
                              what is to be taken out is sent as a retract or forget record";

impl Reason {
    /// The reason that a word stands for.
    pub fn from_word(word: &str) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Problem {
    /// As a word.
    pub reason: Reason,
    /// As a sentence.
    pub detail: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Problem { reason, detail: detail.into() }
    }
}
