//! The usual event in one pass: fields in any order, strings without escapes, plain numbers, all within limits.
//!
//! It says nothing about what it does not take: that goes the long way.

use super::context::Context;
use crate::records::{Event, MAX_CONTEXT, MAX_ID, MICROS, time};

/// The event of a line, where the line is one in the usual shape. Its context stands in `context`.
pub fn event<'a>(line: &'a str, context: &'a mut Context) -> Option<Event<'a>> {
    context.clear();
    let mut cursor = Cursor { text: line, at: 0 };
    let (mut member, mut item, mut kind, mut at, mut value, mut id) = (None, None, None, None, None, None);
    let (mut typed, mut has_context) = (false, false);
    cursor.space();
    cursor.expect(b'{')?;
    loop {
        cursor.space();
        let key = cursor.string()?;
        cursor.space();
        cursor.expect(b':')?;
        cursor.space();
        match key {
            "member" if member.is_none() => member = Some(cursor.id()?),
            "item" if item.is_none() => item = Some(cursor.id()?),
            "kind" if kind.is_none() => kind = Some(cursor.id()?),
            "id" if id.is_none() => id = Some(cursor.id()?),
            "at" if at.is_none() => at = Some(cursor.time()?),
            "value" if value.is_none() => value = Some(cursor.micros()?),
            "context" if !has_context => {
                has_context = true;
                cursor.context(context)?;
            }
            "type" if !typed => typed = cursor.string()? == "event",
            _ => return None,
        }
        if key == "type" && !typed {
            return None;
        }
        cursor.space();
        match cursor.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    cursor.space();
    if cursor.at != line.len() {
        return None;
    }
    context.write().ok()?;
    let context = context.written();
    (context.len() <= MAX_CONTEXT).then_some(())?;
    Some(Event {
        member: member?,
        item: item?,
        kind: kind?,
        at: at?,
        value: value.unwrap_or(MICROS),
        id,
        context,
    })
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let length = plain(&self.text.as_bytes()[start..]);
        self.at += length;
        self.expect(b'"')?;
        self.text.get(start..start + length)
    }

    #[inline]
    fn id(&mut self) -> Option<&'a str> {
        self.string().filter(|id| (1..=MAX_ID).contains(&id.len()))
    }

    fn time(&mut self) -> Option<i64> {
        if self.peek()? == b'"' {
            return time::parse_rfc3339(self.string()?).ok();
        }
        let (digits, at) = self.digits()?;
        (digits <= 15).then_some(())?;
        self.ends_number()?;
        time::in_range(at).ok()
    }

    /// A number of at most nine digits and six decimals.
    fn micros(&mut self) -> Option<i64> {
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let (digits, whole) = self.digits()?;
        (digits <= 9).then_some(())?;
        let mut micros = whole * MICROS;
        if self.peek()? == b'.' {
            self.at += 1;
            let start = self.at;
            let mut unit = MICROS;
            while let Some(byte @ b'0'..=b'9') = self.peek() {
                unit /= 10;
                micros += i64::from(byte - b'0') * unit;
                self.at += 1;
            }
            (1..=6).contains(&(self.at - start)).then_some(())?;
        }
        self.ends_number()?;
        Some(if negative { -micros } else { micros })
    }

    /// An integer without a sign or a leading zero, of at most 18 digits.
    fn digits(&mut self) -> Option<(usize, i64)> {
        let start = self.at;
        let mut number = 0_i64;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            (self.at - start < 18).then_some(())?;
            number = number * 10 + i64::from(byte - b'0');
            self.at += 1;
        }
        let digits = self.at - start;
        let leading_zero = digits > 1 && self.text.as_bytes()[start] == b'0';
        (digits > 0 && !leading_zero).then_some((digits, number))
    }

    fn ends_number(&self) -> Option<()> {
        matches!(self.peek()?, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n').then_some(())
    }

    /// A flat object of strings without escapes and of integers.
    fn context(&mut self, context: &mut Context) -> Option<()> {
        self.expect(b'{')?;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let start = self.at;
            match self.peek()? {
                b'"' => drop(self.string()?),
                sign => {
                    self.at += usize::from(sign == b'-');
                    let (_, number) = self.digits()?;
                    // A negative zero is written without its sign.
                    (sign != b'-' || number > 0).then_some(())?;
                    self.ends_number()?;
                }
            }
            context.add(key, self.text.get(start..self.at)?);
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }
}

/// How many bytes stand before the first quotation mark, backslash or control character.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut length = 0;
    while let Some(chunk) = bytes[length..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow can mark bytes above the first that is meant, and none below it.
        let found = (zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) | control) & HIGH;
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    length + bytes[length..].iter().position(special).unwrap_or(bytes.len() - length)
}
