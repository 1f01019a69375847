use core::fmt;

/// Why a call refused. Nothing has changed then, but for [`Error::Short`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// Memory, or the pool's limit, is used up.
    NoMemory,
    /// The reserve has its new target, but memory is short: frees fill the reserve before anything else.
    Short,
    /// An argument is out of range: see the call.
    BadArgument,
    /// Another thread is in the way for now: try again.
    Busy,
}

impl Error {
    /// Of a call that returns 1, 0 (short) or a code.
    pub(crate) fn check(code: i32) -> Result<(), Error> {
        match code {
            1 => Ok(()),
            0 => Err(Error::Short),
            _ => Err(Error::of(code)),
        }
    }

    pub(crate) fn of(code: i32) -> Error {
        match code {
            -9 => Error::BadArgument,
            -7 => Error::Busy,
            // Also NO_THREAD, and NO_HEAP: a heap that could not be made.
            _ => Error::NoMemory,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NoMemory => "memory is used up",
            Error::Short => "memory is short: the reserve fills later",
            Error::BadArgument => "an argument is out of range",
            Error::Busy => "another thread is in the way",
        })
    }
}

/// The pool has no element, also none in its reserve; the value that it was to hold.
pub struct Full<T>(
    /// The value, as it was given.
    pub T,
);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is full")
    }
}

impl<T> From<Full<T>> for Error {
    fn from(_: Full<T>) -> Error {
        Error::NoMemory
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {}
#[cfg(feature = "std")]
impl<T> std::error::Error for Full<T> {}
