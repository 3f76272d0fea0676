"""The figures as one Markdown document."""

from benchmarks.markdown import text
from benchmarks.performance.figures import Series
from benchmarks.performance.markdown import NONE, number, series_cells, table
from benchmarks.performance.profile import profile
from benchmarks.performance.results import Generator, Machine, OneCore, Results, Storage
from benchmarks.performance.targets import GIB, target_table
from benchmarks.performance.workers import two_workers

FORMS = {"published": "published", "polyphase": "polyphase", "ours": "ours, spectral"}


def document(results: Results) -> str:
    """Everything there is to say."""
    quick = (
        "**A quick run of little of everything: it shows that everything runs, and its figures are of no use.**"
        if results.quick
        else ""
    )
    parts = [
        "# Performance",
        quick,
        text(
            "Written by `make bench`; changes by hand are lost. Rates vary with the machine and with whatever else "
            "runs on it: what counts are the ratios, each between things timed in turn in the same run. Figures are "
            "medians; the spread is from the lowest round to the highest, of single reads and shards from the 5th "
            "percentile to the 95th. Where a round compares two things, the ratio is taken round by round."
        ),
        _machine(results.machine),
        "## What has to be reached, and what is",
        target_table(results),
        *_generator(results.generator),
        *_one_core(results.one_core),
        *profile(results.one_core, results.full.run),
        *two_workers(results),
        *_storage(results.storage),
        *_unmeasured(results),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _machine(machine: Machine) -> str:
    held = "" if machine.pinned else " This system cannot hold a process to one core: other cores may have helped."
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return text(
        f"{machine.date}, commit {machine.commit}. {machine.processor}, {machine.cores} cores, "
        f"{machine.memory_bytes / GIB:.0f} GiB, {machine.system}, {machine.instruction_set}; {versions}.{held}"
    )


def _generator(found: Generator) -> list[str]:
    floor = found.product_per_s.median
    measured = {"published": found.published_ms.median, "ours": found.ours_ms.median}
    forms = []
    for form, name in FORMS.items():
        count, took = found.multiply_adds[form], measured.get(form)
        least = 1000 * count / floor
        reached = (number(took), f"{100 * least / took:.0f} %") if took else (NONE, NONE)
        forms.append((name, f"{count / 1e6:.0f} million", number(least), *reached))
    gpu = (
        f"On {found.gpu}: {number(found.gpu_per_s.median)} records/s, blocks there and back included."
        if found.gpu_per_s
        else "On a GPU: not measured, see below."
    )
    return [
        "## The generator alone, one core",
        text(
            "From noise to int16 µV in blocks of 32, against the published network (deepfake-ecg's code and weights), "
            "of which only the forward pass is counted, in PyTorch's inference mode and at the batch size that suits "
            "it best. Milliseconds a record:"
        ),
        table(
            ("", "median", "spread"),
            [
                ("ours", *series_cells(found.ours_ms)),
                (f"published, batches of {found.batch}", *series_cells(found.published_ms)),
                *(
                    (f"published, batches of {batch}, best of a few tries", number(ms), NONE)
                    for batch, ms in found.batches_ms.items()
                ),
            ],
        ),
        text(
            "How far that is from what the core can do: a large float32 matrix product (2048 × 2048 × 2048) makes "
            f"{floor / 1e9:.1f} thousand million multiply-adds a second on it. The share says how much of the time "
            "the multiply-adds would take at that rate; the rest is moving data, rectifiers and small shapes."
        ),
        table(("form", "multiply-adds a record", "at that rate, ms", "measured, ms", "share"), forms),
        gpu,
    ]


def _one_core(found: OneCore) -> list[str]:
    build = found.builds[0]
    peers = []
    for method, runs in found.peers.items():
        stages = ((run.records / run.generate_s, run.records / run.measure_s) for run in runs)
        generate, measure = (Series(values=tuple(rates)) for rates in zip(*stages, strict=True))
        ratio = found.build_per_s.over(found.peer_per_s(method))
        failed = sum(run.failed_leads for run in runs)
        each = (number(generate.median), number(measure.median), *series_cells(found.peer_per_s(method)))
        peers.append((f"peer with `{method}`", *each, f"{number(ratio.median)}×", f"{failed}"))
    return [
        "## A whole build, one core",
        text(
            f"All of `build_dataset` on {build.records:,} records: generate, measure in 12 leads, interpret, compress "
            "and write durably, check, select the normal subset, ask neurokit2 for a second opinion on 2 %, write the "
            "manifest; without a release, and after imports. The peer is what one would otherwise run: deepfake-ecg's "
            "`generate`, which writes a text file a record, and then neurokit2's `ecg_clean`, `ecg_peaks` and "
            "`ecg_delineate` on each of the 8 leads; reading its files back is not counted. Records/s:"
        ),
        table(
            ("", "generate", "measure", "all", "spread", "ours is", "failed leads"),
            [("ours", number(found.generator_per_s.median), NONE, *series_cells(found.build_per_s), "", NONE), *peers],
        ),
    ]


def _storage(found: Storage) -> list[str]:
    rows = []
    for one in found.codecs:
        numbers = (f"{one.bytes_a_record:,.0f}", f"{one.encode_ms:.3f}", f"{one.decode_ms:.3f}")
        rows.append((f"{one.codec}, level {one.level}, {one.shuffle} shuffle", *numbers))
    return [
        "## On disk",
        text(
            f"{found.records:,} records: {found.signal_bytes / found.records:,.0f} bytes a record of signals, "
            f"{found.dataset_bytes / found.records:,.0f} of everything, the normal subset included. Reading is through "
            "`zarr.open_array`, opened once, on one core; the files were just written, so that most of them come from "
            f"memory and not from the disk. One record anywhere: {number(found.random_ms.median)} ms. Shards whole: "
            f"{number(found.scan_mb_per_s.median)} MB/s of int16. Compressors on the first records, one core:"
        ),
        table(("codec", "bytes a record", "compress, ms", "decompress, ms"), rows),
    ]


def _unmeasured(results: Results) -> list[str]:
    missing = [
        "Other processors than this one, more than two workers, and several machines.",
        "Reading from a disk whose files are not in memory, and network storage.",
        "Packaging a release: docs/releasing.md has its figures.",
    ]
    if results.generator.gpu_per_s is None:
        missing.insert(
            0,
            "A GPU: not measured, no GPU at hand; the path runs the same tensors, and its CPU form is what the tests "
            "compare.",
        )
    return [
        "## What is not measured",
        "\n".join(f"- {line}" for line in missing),
        "## How to run it",
        text(
            "`make bench` on an otherwise idle machine with two cores and 20 GB free; `make bench BENCH=--quick` tries "
            "everything out in a few minutes and writes nothing. `python -m benchmarks.performance --help` has the "
            "other settings. Temporary files lie where `TMPDIR` says: on a disk, not in memory."
        ),
    ]
