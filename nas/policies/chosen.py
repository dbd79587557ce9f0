"""From settings to the policy that they choose."""

from __future__ import annotations

from pydoc import ErrorDuringImport, locate

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
        SettingsError: there is no such policy, or it has no such setting.
    """
    find_modules_here()
    target = str(config.policy._target_)
    try:
        kind = locate(target)
        if not isinstance(kind, type):
            raise SettingsError(
                f"policy._target_ is {target}, and no such class is found: give policy=breeding "
                "or another of conf/policy, or a class of a file in this folder"
            )
        check_calls("policy", config.policy)
        policy = instantiate(config.policy, _convert_="all")
    except InstantiationException as error:
        raise SettingsError(" ".join(f"{error.__cause__ or error}".split())) from error
    except (ValueError, ErrorDuringImport, OmegaConfBaseException) as error:
        raise SettingsError(str(error)) from error
    if not hasattr(policy, "propose"):
        raise SettingsError(
            f"policy is {type(policy).__name__}, which has no 'propose': a policy has "
            "propose(question), which returns a Proposal (nas/policies/base.py)"
        )
    return policy  # type: ignore[no-any-return]
