from segue.markdown import escaped, section, table


def test_a_table_keeps_its_cells() -> None:
    text = table(["model", "recall"], [["a|b", "0.1"], ["<img src=x>", "x\ny"]])
    assert text == "| model | recall |\n|---|---:|\n| a\\|b | 0.1 |\n| &lt;img src=x> | x\\ny |"
    assert table(["one", "two"], [], numbers=False) == "| one | two |\n|---|---|"


def test_a_section_without_content_is_left_out() -> None:
    assert section("Notes", []) == section("Notes", "") == []
    assert section("Notes", ["one", "two"]) == ["## Notes\n", "- one\n- two", ""]
    assert section("Notes", "text", level=3) == ["### Notes\n", "text", ""]


def test_text_stays_text() -> None:
    assert escaped("# *a* <b>\n1") == "\\# \\*a\\* &lt;b>\\\\n1"
