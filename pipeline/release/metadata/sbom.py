"""`sbom.cdx.json`: the software that packaged the release, as CycloneDX 1.6 lists it."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from packaging.requirements import Requirement

from pipeline.recipe import canonical_sha256
from pipeline.release.manifest import Facts
from pipeline.release.metadata import shared

PROGRAM = "ecg-foundry"


def sbom(facts: Facts) -> str:
    """This program, all that it needs to run in the version installed at packaging, and the generator's checkpoint.

    The serial number follows from the content, so that the same surroundings give the same bytes.
    """
    release = facts.release
    needed = requirements(PROGRAM)
    program, *libraries = [_component(name) for name in sorted(needed, key=lambda name: (name != PROGRAM, name))]
    checkpoint = {
        "type": "machine-learning-model",
        "bom-ref": "checkpoint",
        "name": f"checkpoint of {release.recipe.generator}",
        "hashes": [{"alg": "SHA-256", "content": release.recipe.checkpoint_sha256}],
    }
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": shared.moment(release.issued), "component": {**program, "type": "application"}},
        "components": [checkpoint, *libraries],
        "dependencies": [
            {"ref": _purl(name), "dependsOn": sorted(map(_purl, others))} for name, others in sorted(needed.items())
        ],
    }
    serial = uuid5(NAMESPACE_URL, canonical_sha256([bom, facts.everything.content_digest]))
    return shared.as_json({**bom, "serialNumber": serial.urn})


def requirements(program: str) -> dict[str, set[str]]:
    """What a program and everything below it needs at run time, as far as it is installed, by normal names."""
    found: dict[str, set[str]] = {}
    waiting = [(program, "")]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        direct = {(other, more) for other, more in _requirements(distribution(name), extra) if _is_installed(other)}
        found.setdefault(name, set()).update(other for other, _ in direct)
        waiting += direct - seen
        seen |= direct
    return found


def _requirements(package: Distribution, extra: str) -> set[tuple[str, str]]:
    """What a package needs on this machine, itself or for one of its extras, each with every extra asked of it."""
    lines = map(Requirement, package.requires or [])
    wanted = [line for line in lines if line.marker is None or line.marker.evaluate({"extra": extra})]
    return {(_normal(line.name), each) for line in wanted for each in ("", *line.extras)}


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _component(name: str) -> dict[str, Any]:
    package = distribution(name)
    licence = package.metadata.json.get("license_expression")
    return {
        "type": "library",
        "bom-ref": _purl(name),
        "name": name,
        "version": package.version,
        "purl": _purl(name),
        **({"licenses": [{"expression": licence}]} if licence else {}),
    }


def _purl(name: str) -> str:
    kind = "generic" if name == PROGRAM else "pypi"  # PyPI has no such program
    return f"pkg:{kind}/{name}@{quote(distribution(name).version, safe='')}"


def _normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
