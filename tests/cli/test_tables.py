from segue.cli.tables import interval_picture


def test_the_picture_places_value_and_interval_on_the_scale() -> None:
    picture = interval_picture(0.5, (0.25, 1.0), low=0.0, high=1.0)
    assert len(picture) == 20
    assert picture.index("●") == 10
    assert picture.index("─") == 5
    assert picture.rindex("─") == 19
