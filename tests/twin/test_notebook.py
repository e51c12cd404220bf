"""Tables for notebooks: every text of theirs is escaped."""

from html.parser import HTMLParser

from twin.notebook import table

ODD = "<b>&\"'</b>"


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_text_is_text() -> None:
    parser = Texts()
    parser.feed(table(ODD, (ODD, ""), [(ODD, "1")], [ODD], [ODD]))
    assert parser.texts.count(ODD) == 5
    assert "b" not in parser.tags
    assert {"div", "table", "td"} <= set(parser.tags)


def test_without_rows_there_is_no_table() -> None:
    assert "<table" not in table("nothing", (), ())
