"""Nothing is a target that the operator did not list, however it is spelled."""

from ipaddress import ip_address

import pytest

from shared.model.addresses import is_allowed_address, parse_networks
from shared.model.targets import normalised_prefix, parse_allowed, parse_url, refusal


def is_refused(url: str, allowed: str, networks: str = "") -> bool:
    return refusal(parse_url(url), parse_allowed(allowed), parse_networks(networks)) is not None


@pytest.mark.parametrize(
    ("text", "scheme", "origin"),
    [
        ("https://erp.example.com", "https", "erp.example.com:443"),
        ("https://erp.example.com/", "https", "erp.example.com:443"),
        ("https://erp.example.com/latest/orders?a=b&c=%20d", "https", "erp.example.com:443"),
        ("https://erp.example.com?next=https://user@evil.example/", "https", "erp.example.com:443"),
        ("https://erp.example.com/a@b:c", "https", "erp.example.com:443"),
        ("HTTPS://ERP.Example.COM/Orders", "https", "erp.example.com:443"),
        ("https://erp.example.com:443/", "https", "erp.example.com:443"),
        ("https://erp.example.com:8443/", "https", "erp.example.com:8443"),
        ("http://erp.example.com/", "http", "erp.example.com:80"),
        ("https://my_host-1.example.com/", "https", "my_host-1.example.com:443"),
        ("https://xn--bro-hoa.example/", "https", "xn--bro-hoa.example:443"),
        ("https://localhost/", "https", "localhost:443"),
        ("https://1.example.com/", "https", "1.example.com:443"),
        ("https://0xdead.example.com/", "https", "0xdead.example.com:443"),
        ("https://93.184.216.34/", "https", "93.184.216.34:443"),
        ("https://[2001:DB8:0:0::1]:8443/", "https", "[2001:db8::1]:8443"),
        ("https://[::ffff:127.0.0.1]/", "https", "[::ffff:7f00:1]:443"),
        (f"https://{'a' * 63}.example/", "https", f"{'a' * 63}.example:443"),
    ],
)
def test_a_url_is_parsed(text: str, scheme: str, origin: str) -> None:
    url = parse_url(text)
    assert (url.scheme, url.origin) == (scheme, origin)
    assert parse_url(url.text) == url


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("HTTPS://ERP.Example.COM/Orders?A=B", "https://erp.example.com/Orders?A=B"),
        ("https://erp.example.com:443/", "https://erp.example.com/"),
        ("https://erp.example.com:0443?a", "https://erp.example.com?a"),
        ("HTTP://LOCALHOST:80/pay", "http://localhost/pay"),
        ("http://localhost:443/pay", "http://localhost:443/pay"),
        ("https://erp.example.com:80", "https://erp.example.com:80"),
        ("https://erp.example.com:08443/", "https://erp.example.com:8443/"),
        ("https://[2001:DB8:0:0::1]:443/A", "https://[2001:db8::1]/A"),
        ("https://erp.example.com/%7Ea/../B", "https://erp.example.com/%7Ea/../B"),  # the target's business
    ],
)
def test_a_url_is_kept_in_the_form_in_which_urls_are_compared(text: str, normalised: str) -> None:
    assert parse_url(text).text == normalised
    assert normalised_prefix(normalised) == normalised


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", ""),
        ("HTT", "htt"),
        ("Https://ERP.", "https://erp."),
        ("HTTP://LOCALHOST:80", "http://localhost"),
        ("https://erp.example.com:443/Orders", "https://erp.example.com/Orders"),
        ("https://erp.example.com:443?A", "https://erp.example.com?A"),
        ("https://erp.example.com:8443", "https://erp.example.com:8443"),
        ("ftp://Host:21/A", "ftp://host:21/A"),
    ],
)
def test_the_beginning_of_a_url_is_compared_with_normalised_ones(text: str, prefix: str) -> None:
    assert normalised_prefix(text) == prefix


NOT_ABSOLUTE = [
    "erp.example.com/orders",
    "//erp.example.com/",
    "/orders",
    "https:/erp.example.com/",
    "https:erp",
]
OTHER_SCHEMES = [
    "ftp://erp.example.com/",
    "file:///etc/passwd",
    "gopher://erp.example.com/",
    "javascript://erp.example.com/",
    "http+unix://erp.example.com/",
    "https:https://erp.example.com/",
    " https://erp.example.com/",
]
USERS = [
    "https://user:password@erp.example.com/",
    "https://user@erp.example.com/",
    "https://@erp.example.com/",
    "https://erp.example.com@evil.example/",
    "https://erp.example.com:443@evil.example/",
    "https://a@b@erp.example.com/",
    "https://evil.example%3F@erp.example.com/",
]
FRAGMENTS = [
    "https://erp.example.com/#a",
    "https://erp.example.com#",
    "https://evil.example#@erp.example.com/",
]
CHARACTERS = [
    "https://erp.example.com\\@evil.example/",
    "https://erp.example.com\\.evil.example/",
    "https:\\\\erp.example.com\\",
    "https://erp.example.com/a b",
    "https://erp.example.com/a\tb",
    "https://erp.exam\nple.com/",
    "https://erp.example.com/\r\nX-Injected: 1",
    "https://erp.example.com\x00.evil.example/",
    "https://erp.example.com/\x7f",
    "https://erp.example.com/\x85",
    "https://erp.example.com/\u2028",
    "https://erp.example.com/ü",
    'https://erp.example.com/"',
    "https://erp.example.com/<>",
    "https://erp.example.com/{id}",
    "https://erp.example.com/a|b",
    "https://erp.example.com/a^b",
    "https://erp.example.com/`id`",
    "https://erp.example.com/ ",
    "https://erp.example.com/\n",
]
RAW_NAMES = [
    "https://büro.example/",
    "https://erp\u3002example\u3002com/",  # ideographic full stops
    "https://erp.example\uff0ecom/",  # a full-width one
    "https://\u212arp.example.com/",  # the Kelvin sign: its lower case is a plain k
    "https://erp\u017f.example.com/",  # a long s
    "https://erp.example.com\u2100.evil.example/",  # holds a slash in its compatibility form
    "https://erp.example.com\uff0fevil.example/",
    "https://\u2460.example.com/",
    "https://erp.ex\u00adample.com/",  # a soft hyphen
]
NAMES = [
    "https://",
    "https:///orders",
    "https://?a=b",
    "https://:443/",
    "https://.example.com/",
    "https://erp..example.com/",
    "https://erp.example.com./",
    "https://erp.example.com.:443/",
    "https://./",
    "https://-erp.example.com/",
    "https://erp-.example.com/",
    "https://*.example.com/",
    "https://erp.example.com%2f.evil.example/",
    "https://erp%2eexample.com/",
    "https://%65rp.example.com/",
    "https://erp.example.com,evil.example/",
    "https://erp.example.com;evil.example/",
    "https://erp.example.com&evil.example/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 126}toolong/",
]
PORTS = [
    "https://erp.example.com:/",
    "https://erp.example.com:0/",
    "https://erp.example.com:65536/",
    "https://erp.example.com:-1/",
    "https://erp.example.com:+443/",
    "https://erp.example.com:4_43/",
    "https://erp.example.com:443a/",
    "https://erp.example.com:https/",
    "https://erp.example.com:443:443/",
    "https://erp.example.com: 443/",
    "https://erp.example.com:0x1bb/",
]
IPV4 = [
    "https://2130706433/",  # 127.0.0.1 as one number
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0X7F000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://0x7f.0.0.1/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://127.0.0.0x1/",
    "https://169.254.43518/",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://1.2.3.256/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0x/",
    "https://evil.example.0x/",
    "https://1.2.3.-4/",
]
IPV6 = [
    "https://::1/",
    "https://[::1/",
    "https://::1]/",
    "https://[]/",
    "https://[::1]x/",
    "https://[::1]evil.example/",
    "https://x[::1]/",
    "https://[[::1]]/",
    "https://[127.0.0.1]/",
    "https://[erp.example.com]/",
    "https://[v1.example.com]/",  # IPvFuture, RFC 3986, section 3.2.2: no DNS name
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[1:2:3]/",
    "https://[::12345]/",
    "https://[::ffff:127.0.0.256]/",
]


@pytest.mark.parametrize(
    "text",
    [
        *(NOT_ABSOLUTE + OTHER_SCHEMES + USERS + FRAGMENTS + CHARACTERS),
        *(RAW_NAMES + NAMES + PORTS + IPV4 + IPV6),
    ],
)
def test_a_url_that_anybody_could_read_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_url(text)


@pytest.mark.parametrize(
    "value", [None, "", 7, True, ["https://erp.example.com/"], {}, b"https://erp.example.com/"]
)
def test_what_is_no_text_is_no_url(value: object) -> None:
    with pytest.raises(ValueError, match="must be a string"):
        parse_url(value)


def test_a_url_has_a_greatest_length() -> None:
    start = "https://erp.example.com/"
    assert parse_url(start + "a" * (2048 - len(start)))
    with pytest.raises(ValueError, match="2048"):
        parse_url(start + "a" * (2049 - len(start)))


def test_what_is_wrong_is_said_without_repeating_a_password() -> None:
    with pytest.raises(ValueError, match="user or password") as caught:
        parse_url("https://user:s3cret@erp.example.com/")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("erp.example.com", "https://erp.example.com/orders"),
        ("ERP.Example.com", "https://erp.EXAMPLE.com/"),
        ("crm.example.com, erp.example.com", "https://erp.example.com/"),
        (" erp.example.com , ", "https://erp.example.com:443/"),
        ("erp.example.com:8443", "https://erp.example.com:8443/"),
        ("https://erp.example.com", "https://erp.example.com/"),
        ("*.example.com", "https://erp.example.com/"),
        ("*.example.com", "https://a.b.example.com/"),
        ("*.example.com:8443", "https://erp.example.com:8443/"),
        ("http://erp.example.com", "http://erp.example.com/"),
        ("http://erp.example.com:8080", "http://erp.example.com:8080/"),
        ("http://*.example.com", "http://erp.example.com/"),
        ("xn--bro-hoa.example", "https://xn--bro-hoa.example/"),
        ("93.184.216.34", "https://93.184.216.34/"),
        ("[2606:2800:220:1::1]:8443", "https://[2606:2800:0220:0001:0::1]:8443/"),
    ],
)
def test_what_the_operator_lists_is_allowed(allowed: str, url: str) -> None:
    assert not is_refused(url, allowed)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("", "https://erp.example.com/"),
        ("erp.example.com", "https://crm.example.com/"),
        ("erp.example.com", "https://x.erp.example.com/"),
        ("erp.example.com", "https://example.com/"),
        ("erp.example.com", "https://erp.example.com.evil.example/"),
        ("erp.example.com", "https://evilerp.example.com/"),
        ("erp.example.com", "https://erp.example.com:8443/"),
        ("erp.example.com:8443", "https://erp.example.com/"),
        ("erp.example.com", "https://evil.example/erp.example.com"),
        ("erp.example.com", "https://evil.example?erp.example.com"),
        ("erp.example.com", "https://erp_example.com/"),
        ("*.example.com", "https://example.com/"),
        ("*.example.com", "https://evilexample.com/"),
        ("*.example.com", "https://erp.example.com.evil.example/"),
        ("*.example.com", "https://erp.example.comx/"),
        ("*.example.com", "https://erp.example.com:8443/"),
        ("erp.example.com", "http://erp.example.com/"),
        ("erp.example.com", "http://erp.example.com:443/"),
        ("erp.example.com:80", "http://erp.example.com:80/"),
        ("*.example.com", "http://erp.example.com/"),
        ("http://erp.example.com", "https://erp.example.com/"),
        ("http://erp.example.com", "https://erp.example.com:80/"),
        ("http://erp.example.com", "http://erp.example.com:8080/"),
        ("http://*.example.com", "https://erp.example.com/"),
        ("erp.example.com", "https://93.184.216.34/"),
    ],
)
def test_what_the_operator_does_not_list_is_refused(allowed: str, url: str) -> None:
    assert is_refused(url, allowed)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.1.0.7", "10.1.0.0/16"),
        ("169.254.0.7", "169.254.0.0/16"),
        ("[::1]", "::1"),
        ("[fd00:12::7]", "fd00:12::/48"),
        ("[::ffff:10.1.0.7]", "10.1.0.0/16"),
    ],
)
def test_an_address_that_is_listed_as_a_target_must_also_be_public_or_listed_as_a_network(
    host: str, network: str
) -> None:
    url = f"https://{host}/"
    assert is_refused(url, allowed=host)
    assert is_refused(url, allowed=host, networks="192.168.0.0/16, fd99::/48")
    assert not is_refused(url, allowed=host, networks=network)
    assert is_refused(url, allowed="erp.example.com", networks=network)


@pytest.mark.parametrize(
    "entry",
    [
        *("*", "*.", "*.*.example.com", "erp.*.com", "*example.com", ".example.com", "erp.example.com."),
        *("ftp://erp.example.com", "://erp.example.com", "http://https://erp.example.com", "https://"),
        *("erp.example.com/orders", "erp.example.com?a", "erp.example.com#a", "user@erp.example.com"),
        *("erp.example.com:", "erp.example.com:0", "erp.example.com:65536", "erp.example.com:https"),
        *("erp example.com", "erp.example.com;crm.example.com", "büro.example", "127.1", "0x7f000001", "::1"),
    ],
)
def test_an_entry_that_names_no_target_is_refused_and_repeated(entry: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        parse_allowed(f"crm.example.com, {entry}")
    assert "@" in entry or entry in str(caught.value)


def test_no_entries_allow_nothing() -> None:
    assert parse_allowed("") == parse_allowed(" , ") == ()
    assert parse_networks("") == parse_networks(" , ") == ()


@pytest.mark.parametrize(
    "address",
    [
        *(
            "8.8.8.8",
            "93.184.216.34",
            "1.1.1.1",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
        ),
        *("169.253.0.1", "192.0.1.1", "192.167.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255"),
        *("2606:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001::1"),
        *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "::8.8.8.8"),
    ],
)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert is_allowed_address(ip_address(address), ())


LOOPBACK = ["127.0.0.1", "127.0.0.0", "127.255.255.255", "::1"]
UNSPECIFIED = ["0.0.0.0", "0.1.2.3", "::"]  # noqa: S104 - not bound to
LINK_LOCAL = ["169.254.169.254", "169.254.0.0", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%eth0"]
PRIVATE = ["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"]
SHARED = ["100.64.0.0", "100.100.100.200", "100.127.255.255"]
PROTOCOL = ["192.0.0.0", "192.0.0.9", "192.0.0.170", "192.0.0.192", "192.0.0.255", "192.88.99.1", "2001:1::1"]
MULTICAST = ["224.0.0.1", "224.0.1.1", "232.1.2.3", "239.255.255.255", "ff02::1", "ff05::2", "ff0e::1"]
RESERVED = ["240.0.0.1", "255.255.255.254", "255.255.255.255", "4000::1", "100::1", "5f00::1"]
DOCUMENTATION = ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]
BENCHMARKING = ["198.18.0.1", "198.19.255.255", "2001:2::1"]
UNIQUE_LOCAL = ["fc00::1", "fd00:ec2::254", "fdff:ffff::1", "fec0::1"]
IPV4_MAPPED = ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:100.64.0.1"]
IPV4_COMPATIBLE = ["::127.0.0.1", "::169.254.169.254", "::10.0.0.1"]
IPV4_TRANSLATED = ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"]
NAT64 = ["64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::192.0.0.192", "64:ff9b:1::10.0.0.1"]
NAT64_LOCAL = [  # RFC 6052, section 2.2: with a prefix of 48 bits the address stands before the last ones
    "64:ff9b:1:7f00:0:100::",
    "64:ff9b:1:7f00:0:100:808:808",
    "64:ff9b:1:a9fe:a9:fe00:808:808",
]
SIX_TO_FOUR = ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a00:1::1", "2002:e000:1::"]
TEREDO = ["2001:0:808:808::80ff:fffe", "2001:0:808:808::5601:5601", "2001:0:808:808::f5ff:fffe"]


@pytest.mark.parametrize(
    "address",
    [
        *(LOOPBACK + UNSPECIFIED + LINK_LOCAL + PRIVATE + SHARED + PROTOCOL + MULTICAST + RESERVED),
        *(DOCUMENTATION + BENCHMARKING + UNIQUE_LOCAL + IPV4_MAPPED + IPV4_COMPATIBLE + IPV4_TRANSLATED),
        *(NAT64 + NAT64_LOCAL + SIX_TO_FOUR + TEREDO),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed_address(ip_address(address), ())


@pytest.mark.parametrize(
    "address",
    [
        "10.1.0.1",
        "::ffff:10.1.0.1",
        "64:ff9b::10.1.0.1",
        "2002:a01:1::1",
        "2001:0:808:808::f5fe:fffe",
        "::10.1.0.1",
    ],
)
def test_a_listed_network_holds_for_every_form_of_its_addresses(address: str) -> None:
    assert is_allowed_address(ip_address(address), parse_networks("10.1.0.0/16"))
    assert not is_allowed_address(ip_address(address), parse_networks("10.2.0.0/16, fd00::/8"))


def test_a_listed_network_of_ipv6_allows_what_stands_in_it() -> None:
    networks = parse_networks("fd00:12::/48")
    assert is_allowed_address(ip_address("fd00:12::7"), networks)
    assert not is_allowed_address(ip_address("fd00:13::7"), networks)
    assert not is_allowed_address(ip_address("::ffff:10.0.0.1"), networks)


@pytest.mark.parametrize("zone", ["1", "251", "25a", "eth0"])
def test_a_zone_id_is_refused_however_it_is_written(zone: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_url(f"https://[2606:4700::1111%{zone}]/")


@pytest.mark.parametrize("entry", ["*.10.0.0.1", "*.[::1]"])
def test_a_wildcard_over_an_address_names_no_target(entry: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_allowed(entry)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fd00:c1::a9fe:a9fe",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "fd00:c1::a9fe:a9fe%eth0",
    ],
)
def test_no_listed_network_opens_the_metadata_of_the_instance(address: str) -> None:
    everything = parse_networks("0.0.0.0/0, ::/0, 169.254.169.254, fd00:c1::a9fe:a9fe")
    assert not is_allowed_address(ip_address(address), everything)
    assert is_allowed_address(ip_address("169.254.169.253"), everything)
