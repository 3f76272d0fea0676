"""Write docs/results.md from a dataset of the paper's size: its report, with where and by what it was made.

ecg-foundry build --records 150000 --out DATASET
python -m benchmarks.results DATASET
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from pipeline.boundary import one_line
from pipeline.dataset import Manifest, open_dataset
from pipeline.report.folder import MARKDOWN, make_report
from pipeline.report.markdown import FIGURES

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = "results"


def main() -> int:
    """Make the report and put it under docs/; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    options = parser.parse_args()
    return one_line("results", lambda: _write(options.dataset), goes_on=False)


def _write(source: Path) -> int:
    dataset = open_dataset(source)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "report"
        make_report(dataset, made)
        report = (made / MARKDOWN).read_text(encoding="utf-8")
        (DOCS / "results.md").write_text(results_markdown(report, dataset.manifest), encoding="utf-8")
        shutil.rmtree(DOCS / PICTURES, ignore_errors=True)
        shutil.copytree(made / FIGURES, DOCS / PICTURES)
    print(f"written: {DOCS / 'results.md'}")
    return 0


def results_markdown(report: str, manifest: Manifest) -> str:
    """The report under another title, with its provenance, and its pictures in `PICTURES`."""
    _, identity, sections = report.split("\n\n", 2)
    provenance = manifest.provenance
    if provenance is None:
        raise ValueError("a subset has no provenance of its own. Give the dataset it was taken from")
    made = (
        f"- made by `ecg-foundry build --records {manifest.recipe.records} --seed {manifest.recipe.seed}`\n"
        f"- on {', '.join(provenance.instruction_sets)}, with {provenance.software}, "
        + ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
    )
    pictures = sections.replace(f"]({FIGURES}/", f"]({PICTURES}/")
    note = (
        "Machines of the same instruction-set class make the same bytes and the same content digest. On another class "
        "at most 0.5 % of samples differ, by 1 µV; the digest differs then, and the tables in their last digits."
    )
    return f"# Results: {manifest.records:,} records\n\n{identity}\n{made}\n\n{note}\n\n{pictures}"


if __name__ == "__main__":
    sys.exit(main())
