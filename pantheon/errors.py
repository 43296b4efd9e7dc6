"""The error class for users: what went wrong, and the next command."""

import errno


class PantheonError(Exception):
    """An error that is shown as one line, without a traceback.

    Args:
        cause: what went wrong, as a full sentence that names the file, column, port …
        cure: what to do about it, usually a command.
        status: the exit status of the command; 2 for bad input, 1 for other failures.
    """

    def __init__(self, cause: str, cure: str = "", status: int = 2) -> None:
        super().__init__(f"{cause} {cure}".strip())
        self.cause = cause
        self.cure = cure
        self.status = status


def describe(error: OSError, where: object = "") -> PantheonError:
    """Convert an error of the file system to a PantheonError.

    Args:
        where: the file or folder, if the error does not name it.
    """
    name = error.filename2 or error.filename or where
    named = f": {name}" if name else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        cause = f"the disk is full: {name or 'a file'} cannot be written."
        return PantheonError(cause, "Free some space, then run the command again.", 1)
    if error.errno == errno.EISDIR and name:
        return PantheonError(f"{name} must be a file, not a folder.", f"Move it away: `mv {name} {name}.old`", 1)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PantheonError(f"{error.strerror}{named}.", "Check the owner and the mode of the file and its folder.", 1)
    return PantheonError(f"{error.strerror or error}{named}.", "", 1)
