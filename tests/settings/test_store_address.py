"""A store's address says where it is, whatever it leaves out; what could mean two things is refused."""

from __future__ import annotations

import pytest

from proxy.settings.store_address import Place, StoreAddress, read_place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://store", Place("server", False, (("store", 6379),), "", "", 0, None, None)),
        ("redis://store:0001/", Place("server", False, (("store", 1),), "", "", 0, None, None)),
        ("redis://[::1]:6380/3", Place("server", False, (("::1", 6380),), "", "", 3, None, None)),
        ("rediss://store/9999", Place("server", True, (("store", 6379),), "", "", 9999, None, None)),
        ("rediss://store/1?db=2", Place("server", True, (("store", 6379),), "", "", 2, None, None)),
        ("redis://me:p%40ss@store", Place("server", False, (("store", 6379),), "", "", 0, "me", "p@ss")),
        ("redis://:secret@store", Place("server", False, (("store", 6379),), "", "", 0, None, "secret")),
        ("redis://m%65@store", Place("server", False, (("store", 6379),), "", "", 0, "me", None)),
        ("unix:///run/a%20b.sock", Place("socket", False, (), "/run/a b.sock", "", 0, None, None)),
        ("unix://me:pass@/run/v?db=7", Place("socket", False, (), "/run/v", "", 7, "me", "pass")),
        (
            "redis+sentinel://one,two:26380/main",
            Place("sentinel", False, (("one", 26379), ("two", 26380)), "", "main", 0, None, None),
        ),
        ("rediss+sentinel://one/main/4", Place("sentinel", True, (("one", 26379),), "", "main", 4, None, None)),
        (
            "redis+cluster://one,two:7000",
            Place("cluster", False, (("one", 6379), ("two", 7000)), "", "", 0, None, None),
        ),
        ("rediss+cluster://one/", Place("cluster", True, (("one", 6379),), "", "", 0, None, None)),
    ],
)
def test_an_address_is_taken_apart(url: str, place: Place) -> None:
    assert read_place(url) == place


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "should be embedded, or a URL"),
        ("redis", "should be embedded, or a URL"),
        ("http://store", "should be embedded, or a URL"),
        ("redis://", "should name a host and its port"),
        ("redis://store:0", "should name a host and its port"),
        ("redis://store:65536", "should name a host and its port"),
        ("redis://store#part", "should name a host and its port"),
        ("redis://one,two", "names several servers"),
        ("redis://store/one", "should end with the number of a database"),
        ("redis://store/10000", "should end with the number of a database"),
        ("redis://store/٣", "should end with the number of a database"),
        ("redis://store?timeout=1", "takes no option but db"),
        ("redis://store?timeout=", "takes no option but db"),
        ("unix://run/valkey.sock", "must name a socket by its whole path"),
        ("unix:///", "must name a socket by its whole path"),
        ("redis+sentinel://one", "must say by which name"),
        (f"redis+sentinel://one/{'n' * 129}", "must say by which name"),
        ("redis+cluster://one/1", "has no other database than 0"),
        ("redis+cluster://one?db=0", "has no other database than 0"),
    ],
)
def test_what_could_mean_two_things_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_place(url)


@pytest.mark.parametrize(
    ("url", "shown", "shared", "has_password"),
    [
        ("embedded", "embedded", False, False),
        ("redis://store/0", "redis://store/0", True, False),
        ("redis://me@store", "redis://***@store", True, False),
        ("redis://me:p@ss@store:6380", "redis://***@store:6380", True, True),
    ],
)
def test_an_address_shows_no_login_and_knows_whether_it_has_a_password(
    url: str, shown: str, shared: bool, has_password: bool
) -> None:
    address = StoreAddress(url)
    assert (str(address), repr(address), address.shared, address.has_password) == (shown, shown, shared, has_password)
