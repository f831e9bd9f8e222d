from segue.rng import derive, generator


def test_streams_depend_on_the_seed_and_on_every_part_of_the_use() -> None:
    seeds = {derive(0), derive(1), derive(0, "a"), derive(0, "a", 1), derive(0, "a", 2), derive(0, "b", 1)}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_equal_uses_give_equal_numbers_and_other_uses_give_others() -> None:
    assert generator(3, "x").random() == generator(3, "x").random()
    assert generator(3, "x").random() != generator(3, "y").random()
