"""Predict many files into a file of results, and go on where another call was stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pointlora_cli.errors import InterruptedRunError, Terminated
from pointlora_cli.services.predict import Classified
from pointlora_cli.services.predict_parts import Labelled
from pointlora_cli.services.predict_results import ResultsFile
from pointlora_cli.services.predict_rows import prediction_row
from pointlora_cli.services.predict_stream import predictions
from pointlora_cli.services.predictor import Predictor, Prepared, Unreadable

Prediction = TypeVar("Prediction", Classified, Labelled)


@dataclass(frozen=True)
class Tally:
    """What is recorded of the files of a call."""

    files: int
    earlier: int  # of them recorded before this call
    unreadable: int
    answers: dict[str, int]  # files of each class or category, the most frequent first

    @property
    def predicted(self) -> int:
        """Files that could be read."""
        return self.files - self.unreadable


def predict_and_save(
    predictor: Predictor[Prepared, Prediction],
    paths: Sequence[Path],
    results: ResultsFile,
    *,
    base: Path | None = None,
    workers: int | None = None,
    listen: Callable[[Prediction | Unreadable], None],
) -> Tally:
    """Predict those files that are not recorded yet, and record each as soon as it is there.

    Args:
        predictor: what is asked.
        paths: the files.
        results: where they are recorded; open.
        base: as for `predictions`.
        workers: as for `predictions`.
        listen: told of each, after it is recorded.

    Raises:
        UsageError: the results are of another model or other options, or cannot be written.
        InterruptedRunError: Ctrl-C or SIGTERM; what is recorded stands.
        PointLoRAError: as `predictions`.
    """
    settings, classes = predictor.settings, predictor.trained.record.classes
    results.require(settings)
    missing = results.missing(paths)
    earlier = len(results.answers(paths))
    try:
        found = predictions(predictor, missing, base=base, workers=workers)
        with closing(found):
            for prediction in found:
                results.append(prediction.path, prediction_row(classes, prediction), settings)
                listen(prediction)
    except KeyboardInterrupt as error:
        done = f"{len(results.answers(paths)):,} of {earlier + len(missing):,} files are in {results.path}"
        raise interruption(error, done, "The same command goes on with the others.") from error
    answers = results.answers(paths)
    counts = Counter(answer for answer in answers if answer is not None)
    return Tally(len(answers), earlier, answers.count(None), dict(counts.most_common()))


def interruption(error: KeyboardInterrupt, done: str, remedy: str) -> InterruptedRunError:
    """Ctrl-C or SIGTERM as an error that says what is done."""
    terminated = isinstance(error, Terminated)
    word = "terminated" if terminated else "interrupted"
    return InterruptedRunError(f"{word}; {done}", remedy, terminated=terminated)
