"""Errors of candlewire_training.

::

    TrainingError
    ├── BarsError              the bars cannot be read or contradict themselves
    │   ├── AmbiguousBarsError the file leaves open what only its owner can say
    │   └── TooFewBarsError    too little history for what was asked
    ├── SettingsError          an option's value makes no sense
    ├── StoreError             the model store cannot be read or written
    ├── ParityError            the ONNX graph disagrees with the native pipeline
    ├── GateError              the model does not pass a gate that the settings ask for
    ├── NothingTrainedError    not one of many models could be trained
    └── InterruptedRunError    Ctrl-C; what is done stays, and the same command goes on

Every message names the field, the value and the remedy, in one line: the command prints it as it is.
"""


class TrainingError(Exception):
    """Base of every error that this package raises on purpose."""


class BarsError(TrainingError):
    """The bars cannot be read or contradict themselves."""


class AmbiguousBarsError(BarsError):
    """The file leaves open what only its owner can say.

    Attributes:
        questions: What to ask, each with the option that answers it.
    """

    def __init__(self, questions: tuple[str, ...], *, source: str | None = None) -> None:
        self.questions = questions
        super().__init__(f"{source}: {'; '.join(questions)}" if source else "; ".join(questions))


class TooFewBarsError(BarsError):
    """There is too little history for what was asked."""


class SettingsError(TrainingError):
    """An option's value makes no sense."""


class StoreError(TrainingError):
    """The model store cannot be read or written."""


class ParityError(TrainingError):
    """The ONNX graph disagrees with the native pipeline; nothing was written."""


class GateError(TrainingError):
    """The model does not pass a gate that the settings ask for; nothing was written."""


class NothingTrainedError(TrainingError):
    """Not one of many models could be trained."""


class InterruptedRunError(TrainingError):
    """Ctrl-C ended a run of many models; what is done stays."""


__all__ = [
    "AmbiguousBarsError",
    "BarsError",
    "GateError",
    "InterruptedRunError",
    "NothingTrainedError",
    "ParityError",
    "SettingsError",
    "StoreError",
    "TooFewBarsError",
    "TrainingError",
]
