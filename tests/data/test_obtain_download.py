"""A download is whole or not there, and goes on where it stopped."""

import pytest
from loopback import serving

from bench.errors import DataMissing
from bench.obtain.download import download

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def site():
    with serving() as site:
        site.files["/a.zip"] = CONTENT
        yield site


def test_a_broken_download_goes_on_in_the_same_call(site, tmp_path):
    site.breaks_after = 50_000
    download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=(0,))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=50000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_nothing_half_fetched_has_the_files_name_and_the_next_call_goes_on(site, tmp_path):
    site.breaks_after = 30_000
    with pytest.raises(DataMissing, match=r"30000 of 102400 bytes.*goes on where it stopped"):
        download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=())
    assert not (tmp_path / "a.zip").exists()
    download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=())
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=30000-"]


def test_a_file_that_changed_in_between_begins_again(site, tmp_path):
    site.breaks_after = 30_000
    with pytest.raises(DataMissing):
        download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=())
    site.files["/a.zip"], site.etags["/a.zip"] = CONTENT[::-1], '"two"'
    download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=())
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_a_shorter_file_in_its_place_begins_again(site, tmp_path):
    site.breaks_after = 30_000
    with pytest.raises(DataMissing):
        download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=())
    site.files["/a.zip"] = CONTENT[:100]  # under the same tag
    download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=())
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[:100]


@pytest.mark.parametrize("setting", [{"keeps_going_on": False}, {"etags": {"/a.zip": 'W/"one"'}}])
def test_where_parts_cannot_be_trusted_it_begins_again(site, tmp_path, setting):
    for name, value in setting.items():
        setattr(site, name, value)
    site.breaks_after = 30_000
    download(f"{site.url}/a.zip", tmp_path / "a.zip", waits=(0,))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_page_in_place_of_the_file_is_told(site, tmp_path):
    site.types["/a.zip"] = "text/html; charset=utf-8"
    with pytest.raises(DataMissing, match=r"a web page, not with a\.zip"):
        download(f"{site.url}/a.zip", tmp_path / "a.zip")


def test_what_is_not_there_is_not_tried_again_and_no_key_is_shown(site, tmp_path):
    with pytest.raises(DataMissing, match="it is not there") as caught:
        download(f"{site.url}/b.zip?key=secret", tmp_path / "b.zip")
    assert "secret" not in str(caught.value)
    assert len(site.asked) == 1


def test_only_web_addresses_are_fetched(tmp_path):
    (tmp_path / "secret").write_text("s")
    with pytest.raises(DataMissing, match="no http or https address"):
        download(f"file://{tmp_path}/secret", tmp_path / "a.zip")


def test_progress_says_how_much_of_how_much(site, tmp_path):
    seen = []
    download(f"{site.url}/a.zip", tmp_path / "a.zip", progress=lambda *now: seen.append(now))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
