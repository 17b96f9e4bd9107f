//! Fields inside ZVT data: bitmaps with their known lengths, decimal digits, and the container of tagged values (`06`).
//!
//! Promises: fields are read in any order (PA00P015 3.1.1) and kept in theirs; what is read writes the same bytes where
//! the sender used the usual length forms; reading never panics and never allocates more than it was given.
//! Absent on purpose: meaning (`message`). The lengths are facts of PA00P015 chapter 9, checked against recorded bytes.

/// How the length of a field is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// So many bytes.
    Fixed(usize),
    /// So many decimal digits of length, each in the low half of a byte `Fx`.
    Digits(usize),
    /// The length of a tagged value.
    Container,
}

fn form(tag: u8) -> Option<Form> {
    Some(match tag {
        0x06 => Form::Container,
        0x01..=0x03 | 0x05 | 0x19 | 0x27 | 0x72..=0x75 | 0x8a | 0x8c | 0xa0 | 0xd0 | 0xd2 | 0xd3 | 0xe0 => {
            Form::Fixed(1)
        }
        0xe9 | 0xea | 0xf0 | 0xf9..=0xfd => Form::Fixed(1),
        0x0d | 0x0e | 0x17 | 0x3a | 0x49 | 0x87 => Form::Fixed(2),
        0x0b | 0x0c | 0x37 | 0x3d | 0x88 | 0xaa => Form::Fixed(3),
        0x29 | 0x70 | 0x71 => Form::Fixed(4),
        0xba => Form::Fixed(5),
        0x04 => Form::Fixed(6),
        0x3b | 0xeb => Form::Fixed(8),
        0x2a => Form::Fixed(15),
        0x22 | 0x23 | 0x2d | 0x8b | 0xa7 | 0xd1 | 0xe1..=0xe8 | 0xf1..=0xf8 => Form::Digits(2),
        0x24 | 0x2e | 0x3c | 0x60 | 0x9a | 0xaf => Form::Digits(3),
        _ => return None,
    })
}

/// Why fields could not be read to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A tag whose length nobody knows.
    #[error("field {0:02X} is not known")]
    Unknown(u8),
    /// The data ends within a field.
    #[error("field {0:02X} is cut short")]
    Short(u8),
    /// A length that is none.
    #[error("field {0:02X} has no readable length")]
    Length(u8),
}

/// One field.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// Its bitmap number.
    pub tag: u8,
    /// Its bytes, without length.
    pub value: Vec<u8>,
}

/// Fields in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// Reads all of `data`; what was readable before the error comes with it.
    pub fn read(data: &[u8]) -> (Self, Result<(), FieldError>) {
        let mut fields = Fields::default();
        let mut rest = data;
        while let Some((tag, after)) = rest.split_first() {
            match value(*tag, after) {
                Ok((value, after)) => {
                    fields.push(*tag, value.to_vec());
                    rest = after;
                }
                Err(error) => return (fields, Err(error)),
            }
        }
        (fields, Ok(()))
    }
    /// Adds a field.
    pub fn push(&mut self, tag: u8, value: Vec<u8>) {
        self.0.push(Field { tag, value });
    }
    /// The same, for building in one go.
    #[must_use]
    pub fn with(mut self, tag: u8, value: Vec<u8>) -> Self {
        self.push(tag, value);
        self
    }
    /// The first field of a tag.
    pub fn first(&self, tag: u8) -> Option<&[u8]> {
        self.0.iter().find(|field| field.tag == tag).map(|field| field.value.as_slice())
    }
    /// The decimal number in a field; `None` where there is no field, or a half byte that is no digit.
    pub fn number(&self, tag: u8) -> Option<u64> {
        self.first(tag).and_then(decimal)
    }
    /// The tagged values of the container.
    pub fn tagged(&self) -> Vec<Tagged> {
        self.first(0x06).map(Tagged::read).unwrap_or_default()
    }
    /// All fields.
    pub fn all(&self) -> &[Field] {
        &self.0
    }
    /// The bytes. A field whose tag is not known, or whose value does not fit its form, is left out.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Field { tag, value } in &self.0 {
            let length = match form(*tag) {
                Some(Form::Fixed(length)) if length == value.len() => Vec::new(),
                Some(Form::Digits(digits)) if value.len() < 10usize.pow(digits as u32) => {
                    digit_length(value.len(), digits)
                }
                Some(Form::Container) if value.len() <= usize::from(u16::MAX) => container_length(value.len()),
                Some(_) | None => continue,
            };
            bytes.push(*tag);
            bytes.extend(length);
            bytes.extend(value);
        }
        bytes
    }
}

fn value(tag: u8, after: &[u8]) -> Result<(&[u8], &[u8]), FieldError> {
    let (length, rest) = match form(tag).ok_or(FieldError::Unknown(tag))? {
        Form::Fixed(length) => (length, after),
        Form::Digits(digits) => {
            let (length, rest) = after.split_at_checked(digits).ok_or(FieldError::Short(tag))?;
            // The high half is F by the paper; some senders leave it 0.
            let digits = length.iter().map(|byte| usize::from(byte & 0x0f));
            let sum = digits.clone().fold(0, |sum, digit| sum * 10 + digit);
            if digits.max() > Some(9) {
                return Err(FieldError::Length(tag));
            }
            (sum, rest)
        }
        Form::Container => read_container_length(after).ok_or(FieldError::Length(tag))?,
    };
    rest.split_at_checked(length).ok_or(FieldError::Short(tag))
}

fn digit_length(length: usize, digits: usize) -> Vec<u8> {
    let mut bytes = vec![0xf0; digits];
    let mut rest = length;
    for byte in bytes.iter_mut().rev() {
        *byte |= (rest % 10) as u8;
        rest /= 10;
    }
    bytes
}

fn container_length(length: usize) -> Vec<u8> {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 0x80 => vec![short],
        (Ok(byte), _) => vec![0x81, byte],
        (_, Ok(long)) => [vec![0x82], long.to_be_bytes().to_vec()].concat(),
        (Err(_), Err(_)) => vec![0],
    }
}

fn read_container_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [length @ 0x00..=0x7f, rest @ ..] => Some((usize::from(*length), rest)),
        [0x81, length, rest @ ..] => Some((usize::from(*length), rest)),
        [0x82, high, low, rest @ ..] => Some((usize::from(u16::from_be_bytes([*high, *low])), rest)),
        _ => None,
    }
}

/// A value of the container, with a tag of one to three bytes (BER).
#[derive(Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The tag's bytes as a number, such as `0x1F07`.
    pub tag: u32,
    /// The value; of a constructed tag, more of these.
    pub value: Vec<u8>,
}

impl Tagged {
    /// A value.
    pub fn new(tag: u32, value: Vec<u8>) -> Self {
        Tagged { tag, value }
    }
    /// Reads values to the end, or to the first that is broken.
    pub fn read(data: &[u8]) -> Vec<Tagged> {
        let mut all = Vec::new();
        let mut rest = data;
        while let Some((tagged, after)) = Tagged::one(rest) {
            all.push(tagged);
            rest = after;
        }
        all
    }
    fn one(data: &[u8]) -> Option<(Tagged, &[u8])> {
        let (first, mut rest) = data.split_first()?;
        let mut tag = u32::from(*first);
        let mut more = first & 0x1f == 0x1f;
        while more {
            let (next, after) = rest.split_first()?;
            (tag, rest) = (tag << 8 | u32::from(*next), after);
            more = next & 0x80 != 0;
            if tag > 0x00ff_ffff {
                return None;
            }
        }
        let (length, rest) = read_container_length(rest)?;
        let (value, rest) = rest.split_at_checked(length)?;
        Some((Tagged::new(tag, value.to_vec()), rest))
    }
    /// Whether the value holds more of these.
    pub fn constructed(&self) -> bool {
        let bytes = self.tag.to_be_bytes();
        bytes.iter().find(|byte| **byte != 0).is_some_and(|first| first & 0x20 != 0)
    }
    /// The values inside; none in a plain one.
    pub fn inner(&self) -> Vec<Tagged> {
        if self.constructed() { Tagged::read(&self.value) } else { Vec::new() }
    }
    /// The bytes of all.
    pub fn write(all: &[Tagged]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for tagged in all {
            let tag = tagged.tag.to_be_bytes();
            let used = tag.iter().position(|byte| *byte != 0).unwrap_or(3);
            bytes.extend(&tag[used..]);
            bytes.extend(container_length(tagged.value.len()));
            bytes.extend(&tagged.value);
        }
        bytes
    }
}

/// The value of a tag in the container, outermost only.
pub fn tagged(all: &[Tagged], tag: u32) -> Option<&[u8]> {
    all.iter().find(|tagged| tagged.tag == tag).map(|tagged| tagged.value.as_slice())
}

/// Two decimal digits a byte, most significant first. `None` where a half byte is no digit, or the number is too large.
pub fn decimal(bytes: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for half in bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]) {
        if half > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(half))?;
    }
    Some(number)
}

/// The lowest digits of `number` in so many bytes.
pub fn digits(number: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    let mut rest = number;
    for byte in out.iter_mut().rev() {
        *byte = (rest / 10 % 10 * 16 + rest % 10) as u8;
        rest /= 100;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_and_numbers_agree() {
        assert_eq!(digits(950, 6), [0, 0, 0, 0, 0x09, 0x50]);
        assert_eq!(decimal(&[0, 0, 0, 0, 0x09, 0x50]), Some(950));
        assert_eq!(decimal(&[0xff, 0xff]), None);
        assert_eq!(decimal(&[0x99; 10]), None);
        assert_eq!(digits(12_345, 2), [0x23, 0x45]);
    }

    #[test]
    fn errors_name_the_field_and_keep_what_was_read() {
        let check = |data: &[u8], error: FieldError| {
            let (fields, result) = Fields::read(data);
            assert_eq!((fields.all().len(), result), (1, Err(error)));
        };
        check(&[0x27, 0, 0x04, 0, 0], FieldError::Short(0x04));
        check(&[0x27, 0, 0x07, 0, 0], FieldError::Unknown(0x07));
        check(&[0x27, 0, 0x22, 0xfa, 0xf1, 0], FieldError::Length(0x22));
        check(&[0x27, 0, 0x06, 0x83, 0, 0, 0], FieldError::Length(0x06));
        assert_eq!(FieldError::Short(0x22).to_string(), "field 22 is cut short");
    }

    #[test]
    fn tags_have_one_to_three_bytes() {
        let all =
            [Tagged::new(0x07, vec![1]), Tagged::new(0x1f73, vec![0, 0, 1]), Tagged::new(0xff_8101, vec![0; 200])];
        let bytes = Tagged::write(&all);
        assert_eq!(&bytes[..9], &[0x07, 1, 1, 0x1f, 0x73, 3, 0, 0, 1]);
        assert!(Tagged::read(&bytes) == all);
        let outer = Tagged::new(0x25, bytes);
        assert!(outer.constructed() && outer.inner() == all && !all[0].constructed());
        assert!(Tagged::read(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x01, 0]).is_empty());
    }

    proptest! {
        #[test]
        fn fields_round_trip(parts in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20)) {
            let mut fields = Fields::default();
            for (tag, value) in parts {
                match form(tag) {
                    Some(Form::Fixed(length)) => fields.push(tag, value.iter().copied().cycle().take(length).collect()),
                    Some(Form::Digits(2)) => fields.push(tag, value.into_iter().take(99).collect()),
                    Some(_) => fields.push(tag, value),
                    None => {}
                }
            }
            // A fixed field made from an empty value is too short, and is left out.
            let bytes = fields.bytes();
            let (read, result) = Fields::read(&bytes);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(read.bytes(), bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..400)) {
            let (fields, result) = Fields::read(&data);
            let bytes = fields.bytes();
            prop_assert!(bytes.len() <= data.len());
            let (again, _) = Fields::read(&bytes);
            prop_assert!(again == fields);
            prop_assert!(result.is_err() || fields.all().iter().map(|field| field.value.len() + 1).sum::<usize>() <= data.len());
            for tagged in Tagged::read(&data) {
                prop_assert!(tagged.inner().iter().all(|inner| inner.value.len() < data.len().max(1)));
            }
        }
    }
}
