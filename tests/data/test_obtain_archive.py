"""What comes out of an archive stays in its folder, is a file, and is no more than it says."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataError, DataMissing
from bench.obtain.archive import Limits, folder_files, is_archive, names, unpack


def zip_of(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def tar_of(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content.decode()
                archive.addfile(info)
    return path


def written(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


ESCAPES = ["../out.txt", "a/../../out.txt", "/etc/out.txt", "C:\\out.txt", "..\\out.txt", "a/.."]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_a_name_that_leads_outside_is_refused_before_anything_is_written(tmp_path, make, name):
    archive = make(tmp_path / "archive", (name, b"x"))
    with pytest.raises(DataError, match="leads outside"):
        unpack(archive, tmp_path / "target")
    assert written(tmp_path) == ["archive"]


@given(st.text(st.sampled_from("ab./\\:~ \n"), min_size=1, max_size=12))
def test_no_name_is_written_anywhere_else(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("any")
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr(info, b"x")
    try:
        files = unpack(folder / "a.zip", folder / "in" / "target")
    except DataError:
        files = ()
    found = set(written(folder)) - {"a.zip"}
    assert found == {f"in/target/{file.path}" for file in files}


LINKS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]


@pytest.mark.parametrize("kind", LINKS)
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    archive = tar_of(tmp_path / "a.tar.gz", ("there", b"/etc/passwd"), kind=kind)
    with pytest.raises(DataError, match="a link or a device"):
        unpack(archive, tmp_path / "target")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_of_a_zip_are_refused(tmp_path, kind):
    archive = zip_of(tmp_path / "a.zip", ("there", b"/etc/passwd"), mode=kind | 0o777)
    with pytest.raises(DataError, match="a link or a device"):
        unpack(archive, tmp_path / "target")


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_what_grows_beyond_its_bounds_is_left_alone(tmp_path, make):
    archive = make(tmp_path / "archive", ("zeros", b"\0" * 1_000_000))
    assert archive.stat().st_size < 5_000
    with pytest.raises(DataError, match="more than it should"):
        unpack(archive, tmp_path / "target", limits=Limits(ratio=100, floor=1000))
    many = make(tmp_path / "many", *((f"{i}", b"") for i in range(11)))
    with pytest.raises(DataError, match="over 10 files"):
        unpack(many, tmp_path / "other", limits=Limits(files=10))


def test_a_member_larger_than_its_archive_says_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", ("big", b"x" * 5000))
    raw = archive.read_bytes()
    size = (5000).to_bytes(4, "little")
    at = raw.rindex(size)  # in the central directory
    archive.write_bytes(raw[:at] + (10).to_bytes(4, "little") + raw[at + 4 :])
    with pytest.raises(DataError):
        unpack(archive, tmp_path / "target")


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_a_cut_off_archive_is_an_error(tmp_path, make):
    content = bytes(i * 7919 % 251 for i in range(50_000))
    archive = make(tmp_path / "archive", ("a", content), ("b", content))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        unpack(archive, tmp_path / "target")


def test_the_same_file_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = zip_of(tmp_path / "a.zip", ("a", b"1"), ("a", b"2"))
    with pytest.raises(DataError, match="twice"):
        unpack(archive, tmp_path / "target")


def test_a_page_in_place_of_an_archive_is_told(tmp_path):
    page = tmp_path / "val2017.zip"
    page.write_text("<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(DataError, match="a web page: its address wants a log-in"):
        names(page)
    assert not is_archive(page)


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_an_archive_gives_what_its_folder_gives(tmp_path, make):
    folder = tmp_path / "folder"
    content = {"valid/a.jpg": b"a", "valid/_annotations.json": b"{}", "README.txt": b"read"}
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / ".hidden").write_text("mine")
    junk = (("__MACOSX/._a.jpg", b"?"), (".DS_Store", b"?"))
    archive = make(tmp_path / "archive", *content.items(), *junk)
    assert unpack(archive, tmp_path / "one") == unpack(folder, tmp_path / "two")
    assert written(tmp_path / "one") == written(tmp_path / "two") == sorted(content)


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path, monkeypatch):
    archive = zip_of(tmp_path / "a.zip", ("big", b"x" * (3 << 20)), ("small", b"x"))
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(DataMissing, match=r"unpacks to 3 MiB, and .* has room for 1 MiB"):
        unpack(archive, tmp_path / "target")
    assert written(tmp_path) == ["a.zip"]
    chosen = unpack(archive, tmp_path / "target", lambda path: path if path == "small" else None)
    assert [file.path for file in chosen] == ["small"]


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = zip_of(tmp_path / "inner.zip", ("x", b"x"))
    with tarfile.open(tmp_path / "outer.tar", "w") as archive:
        archive.add(inner, "inner.zip")
    assert names(tmp_path / "outer.tar") == ("inner.zip",)


def test_files_of_a_folder_are_found_below_the_paths_named(tmp_path):
    for name in ("a/b/1", "a/2", "c", ".mark"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert folder_files(tmp_path, ["a", "c", "d"]) == ("a/2", "a/b/1", "c")
    assert folder_files(tmp_path, ["."]) == ("a/2", "a/b/1", "c")
