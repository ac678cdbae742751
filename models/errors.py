"""What can go wrong in `models`, as one small tree.

ModelError
├── WeightsError   the weights cannot be used: missing, cut short, altered, of another layout
├── DataError      the training data is not where it should be or not what it should be
├── ChoiceError    a model, split or format was asked for that does not exist
├── RecipeError    a recipe asks for what does not exist or contradicts itself
├── TrainingError  a training cannot go on: its folder holds another one, or it has diverged
├── InputError     a window breaks the contract of `Analyser.step`
├── ExplainError   a window cannot be explained: nothing in it, or a library is missing
└── ExternalError  an encoder from outside cannot be used: file, labels, input, output
"""


class ModelError(Exception):
    """The root: catch this to catch everything that `models` raises on purpose."""


class WeightsError(ModelError):
    """Weights are missing, truncated, altered or of another layout than the code expects."""


class DataError(ModelError):
    """A training file is missing or malformed."""


class ChoiceError(ModelError):
    """A name was given for a model, split or format that does not exist."""


class RecipeError(ModelError):
    """A recipe is malformed or asks for what does not exist."""


class TrainingError(ModelError):
    """A training cannot go on: its folder holds another one, or it has diverged."""


class InputError(ModelError):
    """A window or hop breaks the contract of `Analyser.step`."""


class ExplainError(ModelError):
    """A window cannot be explained: there is nothing in it, or a library is not installed."""


class ExternalError(ModelError):
    """An encoder from outside does not load or does not fit."""
