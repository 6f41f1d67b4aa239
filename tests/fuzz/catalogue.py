"""All targets by name, and where their corpus is."""

from pathlib import Path

from tests.fuzz import (
    audit_targets,
    client_targets,
    file_targets,
    keys_targets,
    relay_targets,
    traffic_targets,
    wire_targets,
)
from tests.fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
MODULES = (
    wire_targets,
    keys_targets,
    client_targets,
    relay_targets,
    file_targets,
    audit_targets,
    traffic_targets,
)
TARGETS: dict[str, Target] = {target.name: target for module in MODULES for target in module.TARGETS}


def inputs(target: Target) -> list[tuple[str, bytes]]:
    """Every input of the corpus with its name: the seeds, and what is kept in the repository."""
    kept = sorted((CORPUS / target.name).glob("*"))
    seeds = [(f"seed {number}", data) for number, data in enumerate(target.seeds())]
    return [*seeds, *((path.name, path.read_bytes()) for path in kept)]
