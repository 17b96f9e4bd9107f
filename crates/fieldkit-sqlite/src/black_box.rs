//! The black box: an append-only file of the same ops as the journal, one record per commit.
//!
//! Layout: a 4,096-byte header (magic, version, random box id, checksum), then records: magic, payload length, number,
//! checksum of the record before, own checksum over all of this and the payload. The payload is the ops of one commit
//! and the signed heads. The file is filled with zeros ahead of use, so that a sync has no size to write.
//! Promises: a torn, stale or flipped record is told from a sound one and named; nothing written is taken back except
//! records that were never confirmed or are damaged.
//! Absent on purpose: threads and waiting (`keeper`), comparison with the journal (`start`).

use crate::error::StoreError;
use crate::failpoint;
use crate::place;
use crate::store::SignedHead;
use fieldkit_core::codec::{Canonical, DecodeError, Reader, put_bytes, put_varint};
use fieldkit_core::id::StreamId;
use fieldkit_core::op::{Head, SealedOp};
use std::fs::{File, OpenOptions};
use std::io::{self};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"FKBLKBOX";
const VERSION: u32 = 1;
const HEADER: u64 = 4096;
const RECORD_MAGIC: &[u8; 4] = b"FKR1";
const RECORD_HEADER: usize = 48;
/// The longest payload; a commit of more is split by the store.
pub(crate) const PAYLOAD_MAX: usize = 16 << 20;
/// Zeros written ahead at a time. A slow card takes 0.1 s for them, less than a reply waits.
const CHUNK: u64 = 1 << 20;
/// Zeros left at which the next chunk is written.
const CHUNK_LOW: u64 = 256 << 10;
const READ_AHEAD: usize = 1 << 20;

/// The end of the sound part of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The first byte after it.
    pub offset: u64,
    /// Records before it.
    pub number: u64,
    /// Checksum of the last record; the box's id where there is none.
    pub sum: [u8; 16],
}

/// One commit as the box holds it.
pub(crate) struct Record {
    pub ops: Vec<SealedOp>,
    pub heads: Vec<SignedHead>,
    /// The end after this record.
    pub end: End,
}

/// A record that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRecord {
    pub number: u64,
    pub offset: u64,
    pub why: &'static str,
}

pub(crate) struct BoxFile {
    file: File,
    path: PathBuf,
    pub id: [u8; 16],
    pub device: u64,
    /// Where the next record goes.
    pub end: End,
    /// The file's length.
    length: u64,
    buffer: Vec<u8>,
}

impl BoxFile {
    /// Opens the box at `path`, or makes one.
    pub fn open(path: &Path) -> Result<BoxFile, StoreError> {
        place::plain_file(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        match options.open(path) {
            Ok(file) => BoxFile::existing(file, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BoxFile::create(path),
            Err(error) => Err(StoreError::io("open", path)(error)),
        }
    }

    /// Opens the box at `path` for reading only.
    pub fn look(path: &Path) -> Result<BoxFile, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let length = file.metadata().map_err(StoreError::io("look at", path))?.len();
        if length < HEADER {
            return Err(StoreError::damaged(path, "it is cut off inside its header"));
        }
        BoxFile::with_header(file, path)
    }

    fn existing(file: File, path: &Path) -> Result<BoxFile, StoreError> {
        let found = file.metadata().map_err(StoreError::io("look at", path))?;
        // A box whose very first sync never happened holds nothing and may be made anew.
        if found.len() < HEADER { BoxFile::create(path) } else { BoxFile::with_header(file, path) }
    }

    fn with_header(file: File, path: &Path) -> Result<BoxFile, StoreError> {
        let found = file.metadata().map_err(StoreError::io("look at", path))?;
        let mut header = [0; 48];
        file.read_exact_at(&mut header, 0).map_err(StoreError::io("read", path))?;
        let sum = blake3::hash(&header[..32]);
        if header[..8] != MAGIC[..] || sum.as_bytes()[..16] != header[32..48] {
            return Err(StoreError::damaged(path, "its header is not a black box's"));
        }
        if header[8..12] != VERSION.to_le_bytes() {
            return Err(StoreError::Newer { path: path.to_owned() });
        }
        let mut id = [0; 16];
        id.copy_from_slice(&header[16..32]);
        let end = End { offset: HEADER, number: 0, sum: id };
        Ok(BoxFile {
            file,
            path: path.to_owned(),
            id,
            device: found.dev(),
            end,
            length: found.len(),
            buffer: Vec::new(),
        })
    }

    fn create(path: &Path) -> Result<BoxFile, StoreError> {
        failpoint::hit("box.before_create");
        let mut header = vec![0; HEADER as usize];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        rustix::rand::getrandom(&mut header[16..32], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| StoreError::io("make", path)(error.into()))?;
        let sum = *blake3::hash(&header[..32]).as_bytes();
        header[32..48].copy_from_slice(&sum[..16]);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(StoreError::io("make", path))?;
        file.write_all_at(&header, 0).and_then(|()| file.sync_all()).map_err(StoreError::io("make", path))?;
        place::sync_directory(path.parent().unwrap_or(Path::new("/")))?;
        failpoint::hit("box.after_create");
        BoxFile::existing(file, path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads records from `from` on, for as long as they are sound.
    pub fn records(&self, from: End) -> Records<'_> {
        Records { file: self, end: from, window: Vec::new(), window_at: from.offset }
    }

    /// The start of all records.
    pub fn first(&self) -> End {
        End { offset: HEADER, number: 0, sum: self.id }
    }

    /// The first sound record after damage, by its own checksum alone; `None` where none follows.
    pub fn resync(&self, after: u64) -> Result<Option<End>, StoreError> {
        let mut at = after;
        let mut window = vec![0; READ_AHEAD];
        loop {
            let length = read_up_to(&self.file, &mut window, at).map_err(StoreError::io("read", &self.path))?;
            if length < RECORD_HEADER {
                return Ok(None);
            }
            let places = window[..length].windows(4).enumerate().filter(|(_, word)| word == RECORD_MAGIC);
            for (place, _) in places {
                let offset = at + place as u64;
                if let Some(end) = self.sound_at(offset)? {
                    return Ok(Some(end));
                }
            }
            at += (length - 3) as u64;
        }
    }

    /// The end before the record at `offset`, as that record itself states it, if the record is sound.
    fn sound_at(&self, offset: u64) -> Result<Option<End>, StoreError> {
        let mut header = [0; RECORD_HEADER];
        if self.file.read_exact_at(&mut header, offset).is_err() {
            return Ok(None);
        }
        let length = word(&header[4..8]) as usize;
        if length > PAYLOAD_MAX || offset + (RECORD_HEADER + length) as u64 > self.length {
            return Ok(None);
        }
        let mut payload = vec![0; length];
        self.file
            .read_exact_at(&mut payload, offset + RECORD_HEADER as u64)
            .map_err(StoreError::io("read", &self.path))?;
        let mut sum = [0; 16];
        sum.copy_from_slice(&header[16..32]);
        let number = number(&header[8..16]).wrapping_sub(1);
        Ok((checksum(&header, &payload)[..] == header[32..48]).then_some(End { offset, number, sum }))
    }

    /// Appends records and syncs once.
    pub fn append(&mut self, payloads: &[Vec<u8>]) -> io::Result<()> {
        let mut end = self.end;
        self.buffer.clear();
        for payload in payloads {
            end.number += 1;
            let mut header = [0; RECORD_HEADER];
            header[..4].copy_from_slice(RECORD_MAGIC);
            header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            header[8..16].copy_from_slice(&end.number.to_le_bytes());
            header[16..32].copy_from_slice(&end.sum);
            end.sum = checksum(&header, payload);
            header[32..48].copy_from_slice(&end.sum);
            self.buffer.extend_from_slice(&header);
            self.buffer.extend_from_slice(payload);
            end.offset += (RECORD_HEADER + payload.len()) as u64;
        }
        failpoint::hit("box.before_write");
        if end.offset > self.length {
            self.grow_to(end.offset)?;
        }
        self.file.write_all_at(&self.buffer, self.end.offset)?;
        failpoint::hit("box.after_write");
        self.file.sync_data()?;
        failpoint::hit("box.after_sync");
        self.end = end;
        Ok(())
    }

    /// Writes zeros ahead where few are left. Called when nobody waits.
    pub fn grow_ahead(&mut self) -> io::Result<()> {
        if self.end.offset + CHUNK_LOW <= self.length { Ok(()) } else { self.grow_to(self.end.offset + CHUNK_LOW) }
    }

    fn grow_to(&mut self, needed: u64) -> io::Result<()> {
        failpoint::hit("box.before_grow");
        let target = needed.div_ceil(CHUNK) * CHUNK;
        // The file may end in the middle of what was there: zeros go only behind both.
        let zeros = vec![0; 64 << 10];
        let mut at = self.length.max(HEADER);
        while at < target {
            let part = (target - at).min(zeros.len() as u64);
            self.file.write_all_at(&zeros[..part as usize], at)?;
            at += part;
        }
        self.file.sync_all()?;
        self.length = target;
        failpoint::hit("box.after_grow");
        Ok(())
    }

    /// Ends the box at `end`: everything behind it is cut off and comes back as zeros.
    pub fn cut(&mut self, end: End) -> Result<(), StoreError> {
        self.file.set_len(end.offset).map_err(StoreError::io("cut", &self.path))?;
        self.file.sync_all().map_err(StoreError::io("sync", &self.path))?;
        self.length = end.offset;
        self.end = end;
        Ok(())
    }

    /// Whether `end` is where a sound record ends, or the box begins.
    pub fn ends_at(&self, end: End) -> Result<bool, StoreError> {
        if end == self.first() {
            return Ok(true);
        }
        // The marked end does not say where its record begins; what can be checked is that the file reaches it and
        // that what follows is either nothing or the record that names this one.
        if end.offset > self.length || end.offset < HEADER {
            return Ok(false);
        }
        let mut header = [0; RECORD_HEADER];
        let length = read_up_to(&self.file, &mut header, end.offset).map_err(StoreError::io("read", &self.path))?;
        let follows = header[16..32] == end.sum && header[8..16] == (end.number + 1).to_le_bytes();
        Ok(header[..length].iter().all(|byte| *byte == 0) || follows)
    }
}

/// A walk over a box's records.
pub(crate) struct Records<'a> {
    file: &'a BoxFile,
    pub end: End,
    window: Vec<u8>,
    window_at: u64,
}

impl Records<'_> {
    /// The next record, `Ok(Ok(None))` at the end.
    pub fn next(&mut self) -> Result<Result<Option<Record>, BadRecord>, StoreError> {
        let end = self.end;
        let bad = |why| Ok(Err(BadRecord { number: end.number + 1, offset: end.offset, why }));
        let header = match self.bytes(RECORD_HEADER)? {
            Some(header) if header.iter().all(|byte| *byte == 0) => return Ok(Ok(None)),
            Some(header) => {
                <[u8; RECORD_HEADER]>::try_from(header).expect("the window gave as many bytes as asked for")
            }
            None => return if self.rest_is_empty()? { Ok(Ok(None)) } else { bad("it is cut off") },
        };
        let length = word(&header[4..8]) as usize;
        if header[..4] != RECORD_MAGIC[..] || length > PAYLOAD_MAX {
            return bad("it does not begin like a record");
        }
        if header[8..16] != (end.number + 1).to_le_bytes() || header[16..32] != end.sum {
            return bad("it does not follow the record before it");
        }
        let Some(whole) = self.bytes(RECORD_HEADER + length)? else { return bad("it is cut off") };
        let payload = &whole[RECORD_HEADER..];
        if checksum(&header, payload)[..] != header[32..48] {
            return bad("its checksum is wrong");
        }
        let Ok((ops, heads)) = decode(payload) else { return bad("its ops cannot be read") };
        let mut sum = [0; 16];
        sum.copy_from_slice(&header[32..48]);
        let end = End { offset: end.offset + (RECORD_HEADER + length) as u64, number: end.number + 1, sum };
        self.end = end;
        Ok(Ok(Some(Record { ops, heads, end })))
    }

    /// `length` bytes at the current end, `None` where the file is shorter.
    fn bytes(&mut self, length: usize) -> Result<Option<&[u8]>, StoreError> {
        let from = (self.end.offset - self.window_at) as usize;
        if from + length > self.window.len() {
            self.window.resize(length.max(READ_AHEAD), 0);
            self.window_at = self.end.offset;
            let read = read_up_to(&self.file.file, &mut self.window, self.window_at)
                .map_err(StoreError::io("read", &self.file.path))?;
            self.window.truncate(read);
        }
        let from = (self.end.offset - self.window_at) as usize;
        Ok(self.window.get(from..from + length))
    }

    fn rest_is_empty(&mut self) -> Result<bool, StoreError> {
        let mut rest = [0; RECORD_HEADER];
        let length =
            read_up_to(&self.file.file, &mut rest, self.end.offset).map_err(StoreError::io("read", &self.file.path))?;
        Ok(rest[..length].iter().all(|byte| *byte == 0))
    }
}

/// The payload of one commit.
pub(crate) fn encode<'a>(ops: impl ExactSizeIterator<Item = &'a SealedOp>, heads: &[SignedHead]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    put_varint(&mut out, ops.len() as u64);
    for op in ops {
        put_bytes(&mut out, &op.bytes);
    }
    put_varint(&mut out, heads.len() as u64);
    for signed in heads {
        signed.stream.write(&mut out);
        signed.head.write(&mut out);
        signed.signature.write(&mut out);
    }
    out
}

fn decode(payload: &[u8]) -> Result<(Vec<SealedOp>, Vec<SignedHead>), DecodeError> {
    let mut input = Reader::new(payload);
    let count = input.varint()?;
    let mut ops = Vec::new();
    for _ in 0..count {
        ops.push(SealedOp::open(input.bytes()?).map_err(|_| DecodeError::Range("op"))?);
    }
    let count = input.varint()?;
    let mut heads = Vec::new();
    for _ in 0..count {
        let (stream, head) = (StreamId::read(&mut input)?, Head::read(&mut input)?);
        heads.push(SignedHead { stream, head, signature: <[u8; 64]>::read(&mut input)? });
    }
    match input.left() {
        0 => Ok((ops, heads)),
        more => Err(DecodeError::Trailing(more)),
    }
}

fn checksum(header: &[u8; RECORD_HEADER], payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..32]);
    hasher.update(payload);
    let mut sum = [0; 16];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    sum
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes are asked for"))
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes are asked for"))
}

/// Fills as much of `buffer` as the file has from `at` on.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
