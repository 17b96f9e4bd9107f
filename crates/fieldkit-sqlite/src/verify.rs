//! Verify.
/// V.
pub struct Verdict;
pub(crate) fn verify_open(_c: &rusqlite::Connection, _p: &std::path::Path) -> Verdict { Verdict }
