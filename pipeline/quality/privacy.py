"""Privacy, said honestly: what was not evaluated, why, and who can."""

from importlib.resources import files

from pipeline.quality.check import Check

SCRIPT = "membership_inference.py"

REASON = (
    "Whether somebody's recording was among those that the generator was trained on can only be tested with these "
    "recordings and with others of the same kind that were not. This program has neither."
)
HOW = (
    f"Whoever holds both measures them with `ecg-foundry measure` and runs quality/{SCRIPT} on the tables, inside "
    "their own walls; it writes aggregates alone."
)
DISTANCES = (
    "Distances to the nearest record, as in copies.json, are descriptive: datasets that pass tests of such distances "
    "were found highly vulnerable to membership inference (Yao et al., The DCR Delusion, arXiv 2505.01524)."
)


def check_privacy() -> Check:
    """That membership inference has not been evaluated, and who can do it how."""
    return Check(
        name="privacy",
        title="Privacy",
        summary=f"Membership inference: not evaluated. {REASON} {HOW} {DISTANCES}",
        rows=(
            ("membership inference", "not evaluated"),
            ("what the owner of the training data can run", f"quality/{SCRIPT}"),
        ),
        document={
            "membership_inference": "not_evaluated",
            "reason": REASON,
            "how": f"quality/{SCRIPT}",
            "instructions": HOW,
            "nearest_neighbour_distances": DISTANCES,
            "claim": "No claim is made that the records cannot be traced to people.",
        },
    )


def script_text() -> str:
    """The script that the owner of the training data can run; it needs numpy and pyarrow alone."""
    return (files("pipeline.quality") / SCRIPT).read_text(encoding="utf-8")
