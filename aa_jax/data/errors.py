"""What can be wrong with data."""


class DataError(ValueError):
    """A dataset is missing, empty or not what was asked for; the message says what to do."""


class UnreadableImageError(DataError):
    """One image file is corrupt, truncated, too large or otherwise not decodable.

    Attributes:
        path: the file.
    """

    def __init__(self, path, reason: str):
        super().__init__(
            f"cannot read image {path}: {reason}; repair or remove the file, or open the folder "
            'with on_error="skip" to leave such files out and count them'
        )
        self.path = path
