"""Releases: a tuned configuration with its evidence, served as it was tuned and checked against live traffic.

Names are imported on first use, because a release brings table, server and model libraries with it.
"""

from typing import TYPE_CHECKING

from workbench.core.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.release.candidate import Candidate
    from workbench.release.checks import Check, LiveAnswer, Verification
    from workbench.release.evidence import Claim, Evidence
    from workbench.release.latency import PilotConfig
    from workbench.release.release import Release, create_release, stack_config
    from workbench.release.verification import VerifyConfig, verify

_HOMES = {
    "Candidate": "candidate",
    "Check": "checks",
    "Claim": "evidence",
    "Evidence": "evidence",
    "LiveAnswer": "checks",
    "PilotConfig": "latency",
    "Release": "release",
    "Verification": "checks",
    "VerifyConfig": "verification",
    "create_release": "release",
    "stack_config": "release",
    "verify": "verification",
}

__all__ = [
    "Candidate",
    "Check",
    "Claim",
    "Evidence",
    "LiveAnswer",
    "PilotConfig",
    "Release",
    "Verification",
    "VerifyConfig",
    "create_release",
    "stack_config",
    "verify",
]


__getattr__ = lazy_names(__name__, _HOMES)
