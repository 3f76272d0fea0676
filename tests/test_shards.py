"""Shards cover every record once and never cut a block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RecipeError
from pipeline.shards import BLOCK, plan_shards


@given(st.integers(1, 20_000), st.integers(1, 40))
def test_shards_cover_all_records_once_and_start_on_blocks(records: int, blocks: int) -> None:
    shards = plan_shards(records, blocks * BLOCK)
    assert [record for shard in shards for record in range(shard.start, shard.stop)] == list(range(records))
    assert all(shard.start % BLOCK == 0 and shard.start == shard.index * blocks * BLOCK for shard in shards)


@pytest.mark.parametrize("size", [-32, 0, 1, 31, 33, 100, 8224])
def test_a_size_that_cuts_a_block_is_refused_with_one_that_does_not(size: int) -> None:
    with pytest.raises(RecipeError, match=f"shard_records {size}.*Use "):
        plan_shards(1000, size)
