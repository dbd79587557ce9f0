"""From settings to the policy that they choose, and to the sampler that it may need."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pydoc import ErrorDuringImport, locate
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from nas.policies.base import Policy
from nas.settings import SettingsError, check_calls
from nas.spaces import find_modules_here


def policy_of(config: DictConfig) -> Policy:
    """What decides what is proposed: one that ships, or a class of the user's.

    Raises:
        SettingsError: there is no such policy or sampler, or it has no such setting, or the two
            are not for each other.
    """
    find_modules_here()
    try:
        kind = _found("policy", config.policy, "policy=breeding")
        check_calls("policy", config.policy)
        parts = _sampler_for(kind, config)
        policy = instantiate(config.policy, _convert_="all", **parts)
    except InstantiationException as error:
        raise SettingsError(" ".join(f"{error.__cause__ or error}".split())) from error
    except (ValueError, ErrorDuringImport, OmegaConfBaseException) as error:
        raise SettingsError(" ".join(str(error).split())) from error
    if not hasattr(policy, "propose"):
        raise SettingsError(
            f"policy is {type(policy).__name__}, which has no 'propose': a policy has "
            "propose(question), which returns a Proposal (nas/policies/base.py)"
        )
    return policy  # type: ignore[no-any-return]


def _found(group: str, node: DictConfig, example: str) -> Callable[..., Any]:
    """The class that a group names.

    Raises:
        SettingsError: there is none.
    """
    target = str(node._target_)
    kind = locate(target)
    if not isinstance(kind, type):
        raise SettingsError(
            f"{group}._target_ is {target}, and no such class is found: give {example} or another "
            f"of conf/{group}, or a class of a file in this folder"
        )
    return kind


def _sampler_for(policy: Callable[..., Any], config: DictConfig) -> dict[str, Any]:
    """The sampler without its seed, by the name of the field that takes it; nothing for none.

    Raises:
        SettingsError: there is one that nobody takes, or none where one is due.
    """
    field, chosen = inspect.signature(policy).parameters.get("sampler"), config.get("sampler")
    beside = "sampler" in config.policy
    if chosen is None:
        if field is not None and field.default is field.empty and not beside:
            raise SettingsError("policy=optuna needs a sampler: give sampler=tpe or another one")
        return {}
    if field is None:
        raise SettingsError(
            "sampler is for policy=optuna, and another policy is given: leave one of the two out"
        )
    if beside:
        raise SettingsError("policy.sampler has no effect beside sampler: leave the first out")
    _found("sampler", chosen, "sampler=tpe")
    if "seed" in chosen:
        raise SettingsError("sampler.seed has no effect: study.seed seeds every trial")
    check_calls("sampler", chosen)
    return {"sampler": instantiate(chosen, _partial_=True, _convert_="all")}
