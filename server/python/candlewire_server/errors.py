"""Errors of the server's control plane; the tree is in the package's docstring."""


class ServerError(Exception):
    """Base of every error that this package raises."""


class StartError(ServerError):
    """The server did not start; the message is one line for people."""


class AddressInUseError(StartError):
    """A port is taken."""


class SettingsError(ServerError):
    """A setting is unknown or refused: one line a problem, with the setting, the value and the remedy."""


class TokensError(ServerError):
    """The file of tokens cannot be read or changed as asked."""


class LibraryNotFoundError(ServerError):
    """The onnxruntime package ships no library that the data plane could load."""


class FileScoringError(ServerError):
    """A file was not scored; the message is one line for people."""
