"""The one family of errors that people see: what went wrong, and the next command."""


class PantheonError(Exception):
    """An error to show as one line, without a traceback.

    Args:
        cause: what went wrong, a full sentence that names the file, column, port …
        cure: what to do about it, usually a command.
        status: the exit status of the command line; 2 for bad input, 1 for a failure on our side.
    """

    def __init__(self, cause: str, cure: str = "", status: int = 2) -> None:
        super().__init__(f"{cause} {cure}".strip())
        self.cause = cause
        self.cure = cure
        self.status = status
