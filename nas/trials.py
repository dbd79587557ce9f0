"""A study's trials by their numbers, for what Optuna's `Study` has no method.

Workers take trials out of a queue without making new ones, go on with those that another one
began, and change those that wait. Storages have public methods for it, which know trials by keys
of their own; this is where a number becomes such a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from optuna import Study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState


class Trials:
    """The trials of one study.

    A number that is not there is a KeyError everywhere.
    """

    def __init__(self, storage: BaseStorage, study: Study) -> None:
        """Open them.

        Args:
            storage: the one that the study was made with.
        """
        self._storage, self._study = storage, study
        self._study_key = storage.get_study_id_from_name(study.study_name)
        self._keys: dict[int, int] = {}

    def of(self, state: TrialState) -> list[FrozenTrial]:
        """Those in this state, in the order of their numbers."""
        return self._study.get_trials(deepcopy=False, states=(state,))

    def read(self, number: int) -> FrozenTrial:
        """One of them as it is now."""
        return self._storage.get_trial(self._key(number))

    def reopened(self, number: int) -> Trial:
        """One that was begun, to go on with; the study's sampler is told of it.

        Optuna advises against making a Trial by hand, and has no other way to one that runs.
        """
        return Trial(self._study, self._key(number))

    def taken(self) -> Iterator[FrozenTrial]:
        """Take one after another out of the queue, each as it was while it waited.

        Nobody else has taken it: that is atomic in every storage.
        """
        for frozen in self.of(TrialState.WAITING):
            try:
                taken = self._storage.set_trial_state_values(
                    self._key(frozen.number), state=TrialState.RUNNING
                )
            except UpdateFinishedTrialError:
                continue
            if taken:
                yield frozen

    def add(self, trial: FrozenTrial) -> int:
        """Add one as it is; returns its number."""
        key = self._storage.create_new_trial(self._study_key, trial)
        number = self._storage.get_trial_number_from_id(key)
        self._keys[number] = key
        return number

    def note(self, number: int, name: str, value: Any) -> None:
        """Set a user attribute.

        Raises:
            UpdateFinishedTrialError: it is finished.
        """
        self._storage.set_trial_user_attr(self._key(number), name, value)

    def end(
        self, number: int, state: TrialState, values: Sequence[float] | None = None
    ) -> None:
        """Finish one, whether it runs or waits; no sampler is told.

        Raises:
            UpdateFinishedTrialError: it is finished.
        """
        self._storage.set_trial_state_values(self._key(number), state, values)

    def _key(self, number: int) -> int:
        if number not in self._keys:
            self._keys[number] = self._storage.get_trial_id_from_study_id_trial_number(
                self._study_key, number
            )
        return self._keys[number]
