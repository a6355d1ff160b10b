//! The wording of operating-system errors.
//!
//! The reference's texts for error numbers are its own, the same on every C library, lower case
//! and without a number; they appear in fatal lines and on stderr, where scripts match on them.

use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;

/// An operation on a path that failed; shows as `<operation> <path>: <reason>`.
#[derive(Debug)]
pub struct PathError {
    /// The operation, such as `open`.
    pub operation: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// Why it failed.
    pub error: io::Error,
}

impl Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path.display(), error_text(&self.error))
    }
}

impl std::error::Error for PathError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The text of an I/O error in the reference's words.
pub fn error_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), errno_text)
}

/// The text of an error number in the reference's words.
pub fn errno_text(number: i32) -> String {
    let known = KNOWN.iter().find(|(errno, _)| *errno == number);
    known.map_or_else(|| format!("errno {number}"), |(_, text)| (*text).to_owned())
}

/// Linux error numbers a server can meet; anything else shows as `errno <n>`.
const KNOWN: &[(i32, &str)] = &[
    (libc::EPERM, "operation not permitted"),
    (libc::ENOENT, "no such file or directory"),
    (libc::ESRCH, "no such process"),
    (libc::EINTR, "interrupted system call"),
    (libc::EIO, "input/output error"),
    (libc::ENXIO, "no such device or address"),
    (libc::E2BIG, "argument list too long"),
    (libc::ENOEXEC, "exec format error"),
    (libc::EBADF, "bad file descriptor"),
    (libc::ECHILD, "no child processes"),
    (libc::EAGAIN, "resource temporarily unavailable"),
    (libc::ENOMEM, "cannot allocate memory"),
    (libc::EACCES, "permission denied"),
    (libc::EFAULT, "bad address"),
    (libc::ENOTBLK, "block device required"),
    (libc::EBUSY, "device or resource busy"),
    (libc::EEXIST, "file exists"),
    (libc::EXDEV, "invalid cross-device link"),
    (libc::ENODEV, "no such device"),
    (libc::ENOTDIR, "not a directory"),
    (libc::EISDIR, "is a directory"),
    (libc::EINVAL, "invalid argument"),
    (libc::ENFILE, "too many open files in system"),
    (libc::EMFILE, "too many open files"),
    (libc::ENOTTY, "inappropriate ioctl for device"),
    (libc::ETXTBSY, "text file busy"),
    (libc::EFBIG, "file too large"),
    (libc::ENOSPC, "no space left on device"),
    (libc::ESPIPE, "illegal seek"),
    (libc::EROFS, "read-only file system"),
    (libc::EMLINK, "too many links"),
    (libc::EPIPE, "broken pipe"),
    (libc::ERANGE, "numerical result out of range"),
    (libc::EDEADLK, "resource deadlock avoided"),
    (libc::ENAMETOOLONG, "file name too long"),
    (libc::ENOLCK, "no locks available"),
    (libc::ENOSYS, "function not implemented"),
    (libc::ENOTEMPTY, "directory not empty"),
    (libc::ELOOP, "too many levels of symbolic links"),
    (libc::ENODATA, "no data available"),
    (libc::EPROTO, "protocol error"),
    (libc::EBADMSG, "bad message"),
    (libc::EOVERFLOW, "value too large for defined data type"),
    (libc::EILSEQ, "invalid or incomplete multibyte or wide character"),
    (libc::EUSERS, "too many users"),
    (libc::ENOTSOCK, "socket operation on non-socket"),
    (libc::EDESTADDRREQ, "destination address required"),
    (libc::EMSGSIZE, "message too long"),
    (libc::EPROTOTYPE, "protocol wrong type for socket"),
    (libc::ENOPROTOOPT, "protocol not available"),
    (libc::EPROTONOSUPPORT, "protocol not supported"),
    (libc::ESOCKTNOSUPPORT, "socket type not supported"),
    (libc::EOPNOTSUPP, "operation not supported"),
    (libc::EPFNOSUPPORT, "protocol family not supported"),
    (libc::EAFNOSUPPORT, "address family not supported by protocol"),
    (libc::EADDRINUSE, "address already in use"),
    (libc::EADDRNOTAVAIL, "cannot assign requested address"),
    (libc::ENETDOWN, "network is down"),
    (libc::ENETUNREACH, "network is unreachable"),
    (libc::ENETRESET, "network dropped connection on reset"),
    (libc::ECONNABORTED, "software caused connection abort"),
    (libc::ECONNRESET, "connection reset by peer"),
    (libc::ENOBUFS, "no buffer space available"),
    (libc::EISCONN, "transport endpoint is already connected"),
    (libc::ENOTCONN, "transport endpoint is not connected"),
    (libc::ESHUTDOWN, "cannot send after transport endpoint shutdown"),
    (libc::ETIMEDOUT, "connection timed out"),
    (libc::ECONNREFUSED, "connection refused"),
    (libc::EHOSTDOWN, "host is down"),
    (libc::EHOSTUNREACH, "no route to host"),
    (libc::EALREADY, "operation already in progress"),
    (libc::EINPROGRESS, "operation now in progress"),
    (libc::ESTALE, "stale NFS file handle"),
    (libc::EUCLEAN, "structure needs cleaning"),
    (libc::EREMOTEIO, "remote I/O error"),
    (libc::EDQUOT, "disk quota exceeded"),
    (libc::ENOMEDIUM, "no medium found"),
    (libc::ECANCELED, "operation canceled"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_errors_show_operation_path_and_reason() {
        let error = PathError {
            operation: "open",
            path: PathBuf::from("/a b"),
            error: io::Error::from_raw_os_error(libc::EACCES),
        };
        assert_eq!(error.to_string(), "open /a b: permission denied");
    }

    #[test]
    fn errors_without_a_number_show_their_own_text() {
        assert_eq!(error_text(&io::Error::other("on purpose")), "on purpose");
        assert_eq!(errno_text(4095), "errno 4095");
    }
}
