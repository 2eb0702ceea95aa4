"""Changes a file's bytes at random: bits, bytes, cuts, pieces twice, numbers at the edges, deep nesting, long lines."""

import re

EDGES = ["0", "-1", "1", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808",
         "18446744073709551615", "-9223372036854775808", "1e308", "1e309", "nan", "inf", "0.0000000001", "1_000_000"]


def mutate(data, chance, is_text):
    """The bytes with something changed, and what."""
    data = bytearray(data)
    place = chance.randrange(max(len(data), 1))
    binary = ["bit", "bits", "byte", "cut", "delete", "twice", "swap", "insert", "word", "zeros", "empty"]
    text = ["bit", "bits", "cut", "delete", "twice", "line_twice", "line_gone", "number", "number", "number", "insert",
            "nest", "long_line", "name", "quote"]
    what = chance.choice(text if is_text else binary)
    if not data:
        return b"\0", "byte"
    if what in ("bit", "bits"):
        for _ in range(1 if what == "bit" else chance.randrange(2, 9)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif what == "byte":
        data[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
    elif what == "cut":
        del data[place:]
    elif what == "delete":
        del data[place:place + chance.choice([1, 4, 8, 64, 512])]
    elif what == "twice":
        end = place + chance.choice([1, 8, 64, 512])
        data[end:end] = data[place:end]
    elif what == "swap":
        other = chance.randrange(len(data))
        size = chance.choice([1, 8, 64])
        one, two = bytes(data[place:place + size]), bytes(data[other:other + size])
        data[place:place + len(two)], data[other:other + len(one)] = two, one
    elif what == "insert":
        data[place:place] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 4, 32])))
    elif what == "word":
        size = chance.choice([2, 4, 8])
        value = chance.choice([0, 1, -1, (1 << (8 * size - 1)) - 1, -(1 << (8 * size - 1)), 1 << (8 * size - 2)])
        data[place:place + size] = value.to_bytes(size, "little", signed=True)
    elif what == "zeros":
        end = min(len(data), place + chance.choice([4, 64, 1024]))
        data[place:end] = bytes(end - place)
    elif what == "empty":
        data = bytearray()
    elif what in ("line_twice", "line_gone"):
        lines = data.split(b"\n")
        line = chance.randrange(len(lines))
        lines[line:line + 1] = [lines[line]] * (2 if what == "line_twice" else 0)
        data = bytearray(b"\n".join(lines))
    elif what == "number":
        numbers = list(re.finditer(rb"-?\d[\d.eE_+-]*", bytes(data)))
        if numbers:
            found = chance.choice(numbers)
            data[found.start():found.end()] = chance.choice(EDGES).encode()
    elif what == "nest":
        start, end = chance.choice([(b"[", b"]"), (b"{a=", b"}"), (b"a.", b"")])
        count = chance.choice([70, 3000, 200_000])
        data[place:place] = start * count + b"1" + end * count
    elif what == "long_line":
        data[place:place] = chance.choice([b"x", b"1,", b"\"", b"9", b"[]", b"a.b "]) * chance.choice([1000, 1_000_000])
    elif what == "name":
        names = list(re.finditer(rb"[a-z_]{3,}", bytes(data)))
        if names:
            found = chance.choice(names)
            data[found.start():found.end()] = chance.choice([b"x" * 300, b"..", b"/dev/zero", b"\xc3\xa9", b"a b", b""])
    elif what == "quote":
        data[place:place] = chance.choice([b'"', b"'", b'"""', b"'''", b"\\", b"#", b"\r", b"\0"])
    return bytes(data), what
