"""The errors that reach a user, each one sentence that says what to do."""


class InputError(ValueError):
    """A file, an option or a value from the user cannot be used; the command ends with exit code 2."""


class UnsupportedError(RuntimeError):
    """This backend cannot run this case (precision, shape, version); the case becomes a row that says why."""


class WrongOutputError(RuntimeError):
    """What ran is not what the label says: another precision, a fallback, a bad shape or value."""
