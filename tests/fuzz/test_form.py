"""Forms that are nearly good: the one file comes out whole, or the form is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from objectclassification.api.form import MAX_BESIDE_BYTES, FormReader
from objectclassification.errors import RequestError
from tests.fuzz.settings import fuzz

BOUNDARY = b"----a-boundary"
GOOD_NAMES = (b"file", b"../../x", b"%00", "bücher".encode(), b"a" * 300)
NAMES = (*GOOD_NAMES, b"", b'q"uote', b"back\\slash", b"nul\0")
HEADERS = (
    b"Content-Type: image/png",
    b"Content-Transfer-Encoding: base64",
    b"X: " + b"y" * 5000,
    b"Content-Disposition: form-data; name=again; filename=again",
    b"Content-Disposition: attachment; filename*=UTF-8''%2e%2e%2fx",
    b" folded: no",
    b": no name",
    b"no colon",
    b"",
)


@st.composite
def parts(draw: st.DrawFn, *, is_file: bool | None = None) -> bytes:
    """One part of a form, with its boundary before it."""
    names = st.sampled_from(NAMES if is_file is None else GOOD_NAMES)
    disposition = b'Content-Disposition: form-data; name="%b"' % draw(names)
    if draw(st.booleans()) if is_file is None else is_file:
        disposition += b'; filename="%b"' % draw(names)
    headers = [disposition]
    if is_file is None:
        headers += draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    inner = st.binary(max_size=200) | st.sampled_from(
        (b"\r\n", b"\r\n--", b"\r\n--" + BOUNDARY[:-1], b"x" * (MAX_BESIDE_BYTES + 1))
    )
    lines = [b"--" + BOUNDARY, *headers, b"", draw(inner)]
    return b"\r\n".join(lines)


@st.composite
def forms(draw: st.DrawFn) -> bytes:
    """A form whose parts, order, line ends or bytes somebody changed."""
    pieces = draw(st.lists(parts(), max_size=4))
    form = b"\r\n".join([*pieces, b"--" + BOUNDARY + b"--\r\n"])
    match draw(st.sampled_from(("", "", "lines", "cut", "edit", "before", "after"))):
        case "lines":
            form = form.replace(b"\r\n", b"\n", draw(st.integers(1, 5)))
        case "cut":
            form = form[: draw(st.integers(0, len(form)))]
        case "edit":
            at = draw(st.integers(0, len(form)))
            form = form[:at] + draw(st.binary(max_size=4)) + form[at + draw(st.integers(0, 4)) :]
        case "before":
            form = draw(st.binary(max_size=20)) + form
        case "after":
            form += draw(st.binary(max_size=20))
    return form


def read(form: bytes, sizes: list[int]) -> tuple[bytes, str] | None:
    """The file of a form that comes in pieces of those sizes; None if it is refused."""
    reader = FormReader("multipart/form-data; boundary=" + BOUNDARY.decode())
    found = b""
    try:
        while form:
            size = sizes.pop() if sizes else len(form)
            found += reader.feed(form[:size])
            form = form[size:]
        reader.finish()
    except RequestError:
        return None
    return found, reader.media_type


@fuzz(500)
@given(forms(), st.lists(st.integers(1, 40), max_size=40))
def test_the_pieces_do_not_matter(form: bytes, sizes: list[int]) -> None:
    assert read(form, []) == read(form, sizes)


@fuzz(400)
@given(parts(is_file=True), st.lists(parts(is_file=False), max_size=2), st.integers(0, 2))
def test_a_good_one_gives_its_file(file: bytes, fields: list[bytes], at: int) -> None:
    beside = sum(len(field.partition(b"\r\n\r\n")[2]) for field in fields)
    fields.insert(min(at, len(fields)), file)
    found = read(b"\r\n".join([*fields, b"--" + BOUNDARY + b"--\r\n"]), [])
    content = file.partition(b"\r\n\r\n")[2]
    if beside > MAX_BESIDE_BYTES:
        assert found is None
    else:
        assert found is not None
        assert found[0] == content


@fuzz(400)
@given(st.text(st.characters(codec="latin-1"), max_size=60))  # as headers come
def test_any_content_type(text: str) -> None:
    for value in (text, f"multipart/form-data; boundary={text}"):
        try:
            FormReader(value).feed(b"--x\r\n")
        except RequestError:
            pass
